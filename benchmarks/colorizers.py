"""Colorizers after more and more epochs: python -m benchmarks.colorizers.

The S-epochs comparison of the Color-S4L report: one colorizer per data set, kept
after S = 50, 100, 200 and 300 epochs, with its error on the test images, and the
report's figure 3: the same images as each of them colourises them.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import pandas as pd

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import DataSettings

_DESCRIPTION = """Trains one colorizer and keeps it after several numbers of epochs,
measures each on the test images, and writes <dataset>_<epochs>.h5, colorizers.csv and
colorizers.png. What is there already is not trained again; an interrupted training goes
on from its last complete epoch.

  python -m benchmarks.colorizers --dataset=cifar10
"""
# "Accuracy" in the report (appendix): the share of pixels where argmax(a*, b*) agrees,
# after so many epochs on all of CIFAR-10.
PUBLISHED = {"cifar10": {50: 0.7914, 100: 0.8180, 200: 0.8306, 300: 0.8396}}


@dataclasses.dataclass(frozen=True)
class Colorizers(DataSettings):
    """The command's flags; the training's are those of colorization.train."""

    epochs: str = option("50,100,200,300", "Comma-separated, as in the report.")
    network: str = option("encoder_decoder", "As of colorization.train.")
    width: float = option(1.0, "As of colorization.train.")
    images: int | None = option(None, "Train on the first N images (default: all).")
    test_images: int | None = option(None, "Measure on the first N (default: all).")
    batch_size: int = option(100, "As of colorization.train.")
    learning_rate: float = option(1e-3, "As of colorization.train.")
    seed: int = option(1, "As of colorization.train.")
    samples: int = option(10, "Test images in the picture.")
    output: str = option("colorizers", "Folder of everything it writes.")
    verbosity: int = option(2, "As of colorization.train.")


def counts(flags: Colorizers) -> list[int]:
    """The numbers of epochs, ascending.

    Raises:
        InputError: One is no number, or not positive.
    """
    words = flags.epochs.split(",")
    if not all(word.strip().isdecimal() and int(word) for word in words):
        raise InputError(
            f"--epochs: expected numbers from 1, comma-separated. "
            f"Received: {flags.epochs!r}."
        )
    return sorted({int(word) for word in words})


def path_of(flags: Colorizers, epochs: int) -> pathlib.Path:
    """Where the colorizer of so many epochs is kept."""
    return pathlib.Path(flags.output) / f"{flags.dataset}_{epochs}.h5"


def colorizers(flags: Colorizers) -> pd.DataFrame:
    """Runs the command.

    Returns:
        The table: a row for every number of epochs, and one for the grey images.

    Raises:
        InputError: A flag does not fit, or the data set is not there.
    """
    from color_s4l import data

    for name in ("samples", "test_images", "images"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise InputError(f"--{name}={value}: expected at least 1.")
    epochs = counts(flags)
    dataset = data.load_source(flags)
    pathlib.Path(flags.output).mkdir(parents=True, exist_ok=True)
    for count in epochs:
        if not path_of(flags, count).exists():
            _train(flags, count, dataset)
    table = _measure(flags, epochs, dataset.test_images[: flags.test_images])
    print(table[["epochs", "mse", "psnr", "ssim", "agreement"]].to_string(index=False))
    return table


def _train(flags: Colorizers, epochs: int, dataset) -> None:
    """Goes on with the one training up to so many epochs, and keeps its colorizer."""
    from colorization import saving, training
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
    images = dataset.images[: flags.images]
    print(f"training   to {epochs} epochs, on {len(images):,} images", flush=True)
    # The learning rate is constant: S epochs are the first S of any longer training.
    going_on = pathlib.Path(flags.output) / "training.npz"
    watched = dataset.test_images[:500]
    model = training.train(images, watched, settings, going_on, resume=True)
    origin = training.origin(settings, dataset.name, images)
    saving.save(model, path_of(flags, epochs), origin)


def _measure(flags: Colorizers, epochs: list[int], images) -> pd.DataFrame:
    """Scores and the picture of all colorizers."""
    from colorization import metrics, pictures, saving
    from colorization.evaluate import compare

    rows, shown = [], {"original": images, "grey": metrics.gray(images)}
    for count in epochs:
        colorizer = saving.load(path_of(flags, count))
        _check_origin(flags, count, colorizer.origin)
        colorized = colorizer.colorize(images)
        scores = compare(images, colorizer, colorized, batch_size=100)
        rows.append(_row(flags, colorizer.origin, count, scores["colorized"]))
        shown[f"{count} epochs"] = colorized
    rows.insert(0, _row(flags, colorizer.origin, "grey", scores["grey"]))
    table = pd.DataFrame(rows).assign(test_images=len(images), **_provenance(flags))
    folder = pathlib.Path(flags.output)
    text = table.to_csv(index=False).encode()
    write_atomically(folder / "colorizers.csv", lambda file: file.write(text))
    first = {label: some[: flags.samples] for label, some in shown.items()}
    pictures.rows(folder / "colorizers.png", first)
    return table


def _check_origin(flags: Colorizers, epochs: int, origin) -> None:
    """Refuses a file of other settings, which would be another curve's."""
    wanted = {
        "epochs": epochs,
        "images": flags.images or provenance.images,
        "network": flags.network,
        "width": flags.width,
        "batch_size": flags.batch_size,
        "learning_rate": flags.learning_rate,
        "seed": flags.seed,
    }
    for name, value in wanted.items():
        if getattr(origin, name) != value:
            raise InputError(
                f"{path_of(flags, epochs)} was trained with {name}="
                f"{getattr(origin, name)}, not {value}: give another --output."
            )


def _row(flags: Colorizers, origin, epochs: int | str, scores) -> dict:
    about = {
        "dataset": flags.dataset,
        "network": provenance.network,
        "width": provenance.width,
    }
    about |= {"images": provenance.images, "seed": provenance.seed, "epochs": epochs}
    published = PUBLISHED.get(flags.dataset, {}).get(epochs)
    return about | dataclasses.asdict(scores) | {"published_agreement": published}


def _provenance(flags: Colorizers) -> dict:
    import keras

    from color_s4l import backend
    from color_s4l.artifacts import provenance

    return {
        "command": command_line.command(
            "benchmarks.colorizers", provenance.portable(flags)
        ),
        "backend": keras.backend.backend(),
        "versions": "; ".join(f"{k} {v}" for k, v in provenance.versions().items()),
        "hardware": provenance.hardware(backend.device_names()),
        "date": provenance.today(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(colorizers, Colorizers, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
