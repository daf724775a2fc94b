"""Measures a colorizer on test images: python -m colorization.evaluate."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically, write_json
from color_s4l.fields import check, option
from color_s4l.settings import Count, DataSettings

_DESCRIPTION = """Colourises a data set's test images and compares them with the
originals; writes scores.csv, scores.json and samples.png.

  python -m colorization.evaluate --colorizer=cifar100_100.h5 --dataset=cifar100
"""


@dataclasses.dataclass(frozen=True)
class Evaluate(DataSettings):
    """The command's flags."""

    colorizer: str = option("", "Colorizer file written by colorization.train.")
    output: str | None = option(
        None, "Folder to write to (default: <colorizer>_on_<dataset>)."
    )
    images: Count | None = option(None, "Only the first N test images (default: all).")
    samples: Count = option(10, "Number of images in samples.png.")
    batch_size: Count = option(100, "Images per step.")
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers data sets; may be repeated."
    )


def _table(scores: Mapping) -> list[list[str]]:
    names = ("mse", "psnr", "ssim", "agreement", "colorfulness")
    lines = [["images", *names]]
    for label, values in scores.items():
        lines.append([label, *(f"{getattr(values, name):.5f}" for name in names)])
    return lines


def _write(folder: pathlib.Path, lines: list[list[str]], about: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = "".join(",".join(line) + "\n" for line in lines).encode()
    write_atomically(folder / "scores.csv", lambda file: file.write(table))
    write_json(folder / "scores.json", about)


def _folder(flags: Evaluate) -> pathlib.Path:
    if flags.output:
        return pathlib.Path(flags.output)
    return pathlib.Path(f"{pathlib.Path(flags.colorizer).stem}_on_{flags.dataset}")


def _print(lines: list[list[str]]) -> None:
    for line in lines:
        print("".join(f"{word:<12}" for word in line).rstrip())
    print("mse: error of a*b*/127. psnr: RGB, in dB. agreement: share of pixels with")
    print("the same argmax(a*, b*). colorfulness: Hasler and Suesstrunk 2003; grey: 0.")
    print(
        "For comparison, grey: the images without colours. tint: with their mean colour"
    )
    print("(agreement: of the best constant colour). original: the true images.")


def evaluate(flags: Evaluate) -> None:
    """Runs the command.

    Raises:
        InputError: The file is not a colorizer, or the data set cannot be loaded.
    """
    check(flags)
    # Imported here because Keras takes seconds to start, and --help does not need it.
    from color_s4l import data, settings
    from color_s4l.artifacts import pictures, provenance
    from colorization import metrics
    from colorization.colorizer import Colorizer

    colorizer = Colorizer.load(flags.colorizer)
    dataset = data.load(flags)
    images, folder = dataset.test_images[: flags.images], _folder(flags)
    origin = colorizer.origin
    print(f"{flags.colorizer}: {origin.network}, trained on ", end="")
    print(f"{origin.dataset} for {origin.epochs} epochs")
    print(f"{len(images)} test images of {dataset.name}; the results go to {folder}/")
    colorized = colorizer.colorize(images, flags.batch_size)
    predicted = colorizer.predict(images, flags.batch_size)
    scores = metrics.compare(images, colorized, predicted)
    lines = _table(scores)
    _print(lines)
    print(f"{metrics.compare_with_tint(images, predicted)}.")
    about = {
        **{name: dataclasses.asdict(values) for name, values in scores.items()},
        "dataset": dataset.name,
        "test_images": len(images),
        # Folders are left out, because they depend on the machine.
        "settings": settings.portable(dataclasses.asdict(flags)),
        "date": provenance.today(),
        "versions": provenance.versions(),
        "origin": dataclasses.asdict(origin),
    }
    _write(folder, lines, about)
    shown = {"original": images, "grey": metrics.gray(images), "colourised": colorized}
    rows = {label: values[: flags.samples] for label, values in shown.items()}
    columns = min(flags.samples, len(images))
    pictures.save(pictures.sheet(rows, columns), folder / "samples.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(evaluate, Evaluate, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
