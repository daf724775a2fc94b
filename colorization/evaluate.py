"""Measures a colorizer on test images: python -m colorization.evaluate."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from color_s4l import commands
from color_s4l.commands import option
from color_s4l.config import Source

_DESCRIPTION = """Colourises a data set's test images and compares them with the
originals; writes scores.csv, scores.json and samples.png.

  python -m colorization.evaluate --colorizer=cifar100_100.h5 --dataset=cifar100
"""


@dataclasses.dataclass(frozen=True)
class Evaluate(Source):
    """The command's flags."""

    colorizer: str = option("", "File of colorization.train.")
    output: str | None = option(
        None, "Folder to write to (default: <colorizer>_on_<dataset>)."
    )
    images: int | None = option(None, "Only the first N test images (default: all).")
    samples: int = option(10, "Images in the picture.")
    batch_size: int = option(100, "Images per step.")


def _scores(images, colorizer, colorized, flags: Evaluate) -> dict:
    """Scores of the colorizer, and of the grey images, which it has to beat."""
    from colorization import metrics

    predicted = colorizer.predict(images, flags.batch_size)
    gray = metrics.gray(images)
    return {
        "colorized": metrics.scores(images, colorized, predicted),
        "grey": metrics.scores(images, gray, 0 * predicted),
    }


def _table(scores: Mapping) -> list[list[str]]:
    names = ("mse", "psnr", "ssim", "agreement")
    lines = [["images", *names]]
    for label, values in scores.items():
        lines.append([label, *(f"{getattr(values, name):.5f}" for name in names)])
    return lines


def _write(folder: pathlib.Path, lines: list[list[str]], about: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "scores.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    (folder / "scores.json").write_text(json.dumps(about, indent=2) + "\n")


def _folder(flags: Evaluate) -> pathlib.Path:
    if flags.output:
        return pathlib.Path(flags.output)
    return pathlib.Path(f"{pathlib.Path(flags.colorizer).stem}_on_{flags.dataset}")


def _print(lines: list[list[str]]) -> None:
    for line in lines:
        print("".join(f"{word:<11}" for word in line).rstrip())
    print("mse: of a*b*/127. psnr: RGB, dB. agreement: share of pixels where")
    print("argmax(a*, b*) agrees. grey: the images without colours, to compare with.")


def evaluate(flags: Evaluate) -> None:
    """Runs the command.

    Raises:
        InputError: The file is no colorizer, or the data set is not there.
    """
    # Here and not above: Keras takes seconds to start, and --help needs none.
    from color_s4l import data
    from colorization import metrics, pictures, saving

    colorizer = saving.load(flags.colorizer)
    dataset = data.load(flags.dataset, flags.data_dir, flags.image_size)
    images, folder = dataset.test_images[: flags.images], _folder(flags)
    print(f"{flags.colorizer}: {colorizer.origin.network}, trained on ", end="")
    print(f"{colorizer.origin.dataset} for {colorizer.origin.epochs} epochs")
    print(f"{len(images)} test images of {dataset.name}; the results go to {folder}/")
    colorized = colorizer.colorize(images, flags.batch_size)
    scores = _scores(images, colorizer, colorized, flags)
    lines = _table(scores)
    _print(lines)
    about = {name: dataclasses.asdict(values) for name, values in scores.items()}
    about |= {"dataset": dataset.name, "test_images": len(images)}
    _write(folder, lines, about | {"origin": dataclasses.asdict(colorizer.origin)})
    shown = {"original": images, "grey": metrics.gray(images), "colourised": colorized}
    pictures.rows(
        folder / "samples.png",
        {label: values[: flags.samples] for label, values in shown.items()},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return commands.run(evaluate, Evaluate, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
