"""Measures a colorizer on test images: python -m colorization.evaluate."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import DataSettings

_DESCRIPTION = """Colourises a data set's test images and compares them with the
originals; writes scores.csv, scores.json and samples.png.

  python -m colorization.evaluate --colorizer=cifar100_100.h5 --dataset=cifar100
"""


@dataclasses.dataclass(frozen=True)
class Evaluate(DataSettings):
    """The command's flags."""

    colorizer: str = option("", "File of colorization.train.")
    output: str | None = option(
        None, "Folder to write to (default: <colorizer>_on_<dataset>)."
    )
    images: int | None = option(None, "Only the first N test images (default: all).")
    samples: int = option(10, "Images in the picture.")
    batch_size: int = option(100, "Images per step.")


def _check(flags: Evaluate) -> None:
    for name in ("images", "samples", "batch_size"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise InputError(f"--{name}={value}: expected at least 1.")


def compare(images, colorizer, colorized, batch_size: int) -> dict:
    """Scores of a colorizer, and of the grey images, which it has to beat.

    Args:
        images: The originals, uint8 `(n, height, width, 3)`.
        colorizer: Of `saving.load`.
        colorized: What it made of them, of the same type and shape.
        batch_size: Images per step.

    Returns:
        `metrics.Scores` by the names "colorized" and "grey".
    """
    from colorization import metrics

    predicted = colorizer.predict(images, batch_size)
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
    table = "".join(",".join(line) + "\n" for line in lines).encode()
    write_atomically(folder / "scores.csv", lambda file: file.write(table))
    text = (json.dumps(about, indent=2) + "\n").encode()
    write_atomically(folder / "scores.json", lambda file: file.write(text))


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
    from color_s4l.artifacts import provenance
    from colorization import metrics, pictures, saving

    _check(flags)
    colorizer = saving.load(flags.colorizer)
    dataset = data.load(flags)
    images, folder = dataset.test_images[: flags.images], _folder(flags)
    print(f"{flags.colorizer}: {colorizer.origin.network}, trained on ", end="")
    print(f"{colorizer.origin.dataset} for {colorizer.origin.epochs} epochs")
    print(f"{len(images)} test images of {dataset.name}; the results go to {folder}/")
    colorized = colorizer.colorize(images, flags.batch_size)
    scores = compare(images, colorizer, colorized, flags.batch_size)
    lines = _table(scores)
    _print(lines)
    about = {name: dataclasses.asdict(values) for name, values in scores.items()}
    about |= {"dataset": dataset.name, "test_images": len(images)}
    about |= {
        # Files without their folders, which are another machine's.
        "command": command_line.command(
            "colorization.evaluate", provenance.portable(flags)
        ),
        "date": provenance.today(),
    }
    about |= {"versions": provenance.versions()}
    _write(folder, lines, about | {"origin": dataclasses.asdict(colorizer.origin)})
    shown = {"original": images, "grey": metrics.gray(images), "colourised": colorized}
    pictures.rows(
        folder / "samples.png",
        {label: values[: flags.samples] for label, values in shown.items()},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(evaluate, Evaluate, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
