"""Measures colorizers on test images: python -m colorization.evaluate."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically, write_json
from color_s4l.errors import InputError
from color_s4l.fields import check, option
from color_s4l.settings import Count, DataSettings

_DESCRIPTION = """Colourises a data set's test images and compares them with the
originals; writes scores.csv, scores.json and samples.png. Several colorizers, of any
networks, are compared in one table and one picture.

  python -m colorization.evaluate --colorizer=cifar100_100.h5 --dataset=cifar100
  python -m colorization.evaluate --colorizer=plain.h5 --colorizer=histogram.h5
"""
# Rows of the table that are not colorizers.
BASELINES = ("grey", "tint", "original")


@dataclasses.dataclass(frozen=True)
class Evaluate(DataSettings):
    """The command's flags."""

    colorizer: tuple[str, ...] = option(
        (), "Colorizer file written by colorization.train; may be repeated."
    )
    output: str | None = option(
        None, "Folder to write to (default: <colorizers>_on_<dataset>)."
    )
    images: Count | None = option(None, "Only the first N test images (default: all).")
    samples: Count = option(10, "Number of images in samples.png.")
    batch_size: Count = option(100, "Images per step.")
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers data sets; may be repeated."
    )


def _table(scores: Mapping) -> list[list[str]]:
    names = [field.name for field in dataclasses.fields(next(iter(scores.values())))]
    lines = [["images", *names]]
    for label, values in scores.items():
        lines.append([label, *(f"{getattr(values, name):.5f}" for name in names)])
    return lines


def _write(folder: pathlib.Path, lines: list[list[str]], about: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = "".join(",".join(line) + "\n" for line in lines).encode()
    write_atomically(folder / "scores.csv", lambda file: file.write(table))
    write_json(folder / "scores.json", about)


def _labels(flags: Evaluate) -> list[str]:
    """Returns the names of the colorizers in tables: the file names without ending."""
    labels = [pathlib.Path(path).stem for path in flags.colorizer]
    if not labels or len({*labels, *BASELINES}) < len(labels) + len(BASELINES):
        raise InputError(
            "Expected `colorizer` to be one or more files with different names, none "
            f"of them {', '.join(BASELINES)}. Received: {', '.join(labels) or 'none'}."
        )
    return labels


def _print(lines: list[list[str]]) -> None:
    first = 2 + max(len(line[0]) for line in lines)
    for line in lines:
        print(f"{line[0]:<{first}}" + "".join(f"{w:<13}" for w in line[1:]).rstrip())
    print("mse: error of a*b*/127. rmse: root of the error of a*b*. psnr: RGB, in dB.")
    print("agreement: share of pixels with the same argmax(a*, b*). hue: share of the")
    print("coloured pixels with a hue within 30 degrees of the true hue.")
    print("colorfulness: Hasler and Suesstrunk 2003.")
    print("For comparison, grey: the images without colours. tint: with their mean")
    print("colour (agreement: of the best constant colour). original: the true images.")


def evaluate(flags: Evaluate) -> None:
    """Runs the command.

    Raises:
        InputError: No file is given, a file is not a colorizer, two files have the same
            name, a name is one of `BASELINES`, the data set cannot be loaded, or its
            images are smaller than 7 px.
    """
    check(flags)
    labels = _labels(flags)
    # Imported here because Keras takes seconds to start, and --help does not need it.
    from color_s4l import data, settings
    from color_s4l.artifacts import pictures, provenance
    from colorization import metrics
    from colorization.colorizer import Colorizer

    loaded = {
        label: Colorizer.load(path)
        for label, path in zip(labels, flags.colorizer, strict=True)
    }
    dataset = data.load(flags)
    images = dataset.test_images[: flags.images]
    folder = pathlib.Path(flags.output or f"{'_'.join(labels)}_on_{flags.dataset}")
    for label, colorizer in loaded.items():
        origin = colorizer.origin
        print(f"{label}: {origin.network}, trained on ", end="")
        print(f"{origin.dataset} for {origin.epochs} epochs")
    print(f"{len(images)} test images of {dataset.name}; the results go to {folder}/")
    scores, shown, lines = {}, {"original": images, "grey": metrics.gray(images)}, []
    for label, colorizer in loaded.items():
        colorized = colorizer.colorize(images, flags.batch_size)
        predicted = colorizer.predict(images, flags.batch_size)
        scores[label] = metrics.scores(images, colorized, predicted)
        shown[label] = colorized
        lines.append(f"{label}: {metrics.compare_with_tint(images, predicted)}.")
    scores |= metrics.baselines(images)
    table = _table(scores)
    _print(table)
    print("\n".join(lines))
    about = {
        "scores": {name: dataclasses.asdict(own) for name, own in scores.items()},
        "dataset": dataset.name,
        "test_images": len(images),
        # Folders are left out, because they depend on the machine.
        "settings": settings.portable(dataclasses.asdict(flags)),
        "date": provenance.today(),
        "versions": provenance.versions(),
        "origins": {
            label: dataclasses.asdict(one.origin) for label, one in loaded.items()
        },
    }
    _write(folder, table, about)
    rows = {label: values[: flags.samples] for label, values in shown.items()}
    columns = min(flags.samples, len(images))
    pictures.save(pictures.sheet(rows, columns), folder / "samples.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(evaluate, Evaluate, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
