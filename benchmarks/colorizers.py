"""Colorizers after different numbers of epochs: python -m benchmarks.colorizers.

Repeats a comparison of the Color-S4L report: one colorizer per data set is saved after
50, 100, 200 and 300 epochs, and its error on the test images is measured. Also draws
figure 3 of the report: the same images colourised by each saved colorizer.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd

from benchmarks import origin
from color_s4l import command_line, fields
from color_s4l.artifacts import pictures
from color_s4l.errors import InputError
from color_s4l.fields import AtLeast, option
from color_s4l.settings import DataSettings, part

_DESCRIPTION = """Trains one colorizer and saves it after several numbers of epochs,
measures each file on the test images, and writes <dataset>_<epochs>.h5, colorizers.csv
and colorizers.png. Existing files are not trained again; an interrupted training is
resumed after its last complete epoch.

  python -m benchmarks.colorizers --dataset=cifar10
"""
# "Accuracy" in the report (appendix): the share of pixels where argmax(a*, b*) agrees.
# Data set -> number of epochs on all training images -> published share.
PUBLISHED = {"cifar10": {50: 0.7914, 100: 0.8180, 200: 0.8306, 300: 0.8396}}
Count = Annotated[int, AtLeast(1)]


@dataclasses.dataclass(frozen=True)
class Colorizers(DataSettings):
    """The flags of the command; the training flags are those of colorization.train."""

    epochs: str = option(
        "50,100,200,300", "Comma-separated (default: as in the report)."
    )
    network: str = option("encoder_decoder", "As in colorization.train.")
    width: float = option(1.0, "As in colorization.train.")
    images: Count | None = option(
        None, "Train on the first N images only (default: all)."
    )
    test_images: Count | None = option(
        None, "Measure on the first N test images only (default: all)."
    )
    batch_size: Count = option(100, "As in colorization.train.")
    learning_rate: float = option(1e-3, "As in colorization.train.")
    seed: int = option(1, "As in colorization.train.")
    samples: Count = option(10, "Number of test images in the picture.")
    output: str = option("colorizers", "Folder for all output.")
    verbosity: int = option(2, "As in colorization.train.")


def _path(flags: Colorizers, epochs: int) -> pathlib.Path:
    return pathlib.Path(flags.output) / f"{flags.dataset}_{epochs}.h5"


def colorizers(flags: Colorizers) -> pd.DataFrame:
    """Runs the command.

    Returns:
        One row for each number of epochs, and one each for the grey images and for a
        constant tint.

    Raises:
        InputError: A value is wrong, the data set cannot be read, or a file belongs to
            a training run with other settings.
    """
    from color_s4l import data
    from colorization.metrics import Scores

    fields.check(flags)
    counts = sorted(origin.numbers("epochs", flags.epochs))
    if not counts[0]:
        raise InputError(
            f"Expected `epochs` of at least 1. Received: {flags.epochs!r}."
        )
    images = data.load(part(flags, DataSettings))
    pathlib.Path(flags.output).mkdir(parents=True, exist_ok=True)
    for count in counts:
        if not _path(flags, count).exists():
            _train(flags, count, images)
    table = _measure(flags, counts, images.test_images[: flags.test_images])
    scores = ["epochs", *(field.name for field in dataclasses.fields(Scores))]
    print(table[scores].to_string(index=False))
    return table


def _train(flags: Colorizers, epochs: int, images: typing.Any) -> None:
    """Continues the training up to this number of epochs and saves the colorizer."""
    from colorization import training
    from colorization.networks import Shape

    settings = training.Settings(
        epochs=epochs,
        batch_size=flags.batch_size,
        learning_rate=flags.learning_rate,
        seed=flags.seed,
        network=flags.network,
        shape=Shape(width=flags.width),
        verbosity=flags.verbosity,
    )
    trained = images.images[: flags.images]
    print(f"training   to {epochs} epochs, on {len(trained):,} images", flush=True)
    # The learning rate is constant. A training of n epochs is therefore equal to the
    # first n epochs of a longer training, and can be continued.
    colorizer = training.train(
        trained,
        settings,
        dataset=images.name,
        validation_images=images.test_images[:500],
        checkpoint=pathlib.Path(flags.output) / "training.npz",
        resume=True,
    )
    colorizer.save(_path(flags, epochs))


def _measure(
    flags: Colorizers, counts: Sequence[int], images: np.ndarray
) -> pd.DataFrame:
    """Measures all colorizers; writes the table and the picture."""
    from color_s4l import backend
    from colorization import metrics
    from colorization.colorizer import Colorizer

    rows, shown = [], {"original": images, "grey": metrics.gray(images)}
    for count in counts:
        colorizer = Colorizer.load(_path(flags, count))
        for name in ("network", "width", "batch_size", "learning_rate", "seed"):
            before, now = getattr(colorizer.origin, name), getattr(flags, name)
            if before != now:
                raise InputError(
                    f"{_path(flags, count)} was trained with {name}={before}, not "
                    f"{now}: choose another `output`."
                )
        colorized = colorizer.colorize(images)
        scores = metrics.scores(images, colorized, colorizer.predict(images))
        published = PUBLISHED.get(flags.dataset, {}).get(count)
        row = {"epochs": count, **dataclasses.asdict(scores)}
        rows.append({**row, "published_agreement": published})
        shown[f"{count} epochs"] = colorized
    without = metrics.baselines(images)
    for name in ("tint", "grey"):
        rows.insert(0, {"epochs": name, **dataclasses.asdict(without[name])})
    names = ("dataset", "network", "width", "seed")
    about = {name: getattr(flags, name) for name in names}
    about |= {"images": colorizer.origin.images, "test_images": len(images)}
    about |= origin.columns(flags, backend.device_names())
    table, folder = pd.DataFrame(rows).assign(**about), pathlib.Path(flags.output)
    origin.write_csv(table, folder / "colorizers.csv")
    first = {label: some[: flags.samples] for label, some in shown.items()}
    figure = pictures.sheet(first, flags.samples)
    pictures.save(figure, folder / "colorizers.png")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(colorizers, Colorizers, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
