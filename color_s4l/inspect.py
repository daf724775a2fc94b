"""What the library sees of a data set: python -m color_s4l.inspect."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.fields import option
from color_s4l.settings import DataSettings

_DESCRIPTION = """Shows what the library sees of a data set, before anything is trained:
images of each class and split, sizes, test images that are also trained on,
files that can't be read, a contact sheet, and the views of a few images.

  python -m color_s4l.inspect --dataset=folder --data_dir=photos
  python -m color_s4l.inspect --dataset=cifar10 --colorizer=cifar10_100.h5
"""
# Lines of a table that a terminal shows; the file has all.
_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Inspect(DataSettings):
    """The command's flags."""

    colorizer: str | None = option(
        None, "H5 file of colorization.train, for the seventh view."
    )
    output: str | None = option(
        None, "Folder to write to (default: inspection_<dataset>)."
    )


def inspect(flags: Inspect) -> None:
    """Runs the command."""
    # Here and not above: Keras takes seconds to start, and --help needs none.
    from color_s4l import data
    from color_s4l.artifacts import pictures
    from color_s4l.inspection import figures
    from colorization import saving

    colorizer = saving.load(flags.colorizer) if flags.colorizer else None
    print(f"reading    {flags.dataset}", flush=True)
    dataset = data.load(flags)
    folder = _folder(flags)
    for name, table in _tables(dataset).items():
        _write(folder / f"{name}.csv", table)
    drawn = {
        "contact_sheet": figures.contact_sheet(dataset),
        "views": figures.views(dataset, colorizer),
    }
    for name, figure in drawn.items():
        pictures.save(figure, folder / f"{name}.png")
    if colorizer is None:
        print("views      six of the seven: give --colorizer for the colourised one")
    print(f"written    {folder}/")


def _tables(dataset) -> dict:
    """All tables by name; what matters of each is printed."""
    from color_s4l import data
    from color_s4l.inspection import tables as made

    size = dataset.images.shape[1]
    print(
        f"images     {dataset.name}, {len(dataset.classes)} classes, read at {size} px"
    )
    tables = {"counts": made.counts(dataset)}
    _show(tables["counts"])
    if data.imbalanced(dataset.labels, dataset.classes):
        print("warning    one class has more than 10 times the images of another")
    tables["duplicates"] = made.duplicates(dataset)
    found = tables["duplicates"]["test"].nunique()
    print(f"duplicates {found:,} test images are training images too")
    _show(tables["duplicates"])
    if dataset.files:
        tables |= _of_files(dataset.files)
    return tables


def _of_files(files) -> dict:
    import pandas as pd

    from color_s4l.inspection import tables

    unreadable = pd.DataFrame(files.unreadable, columns=["filename", "reason"])
    print(f"unreadable {len(unreadable):,} files")
    _show(unreadable)
    sizes = tables.sizes([*files.training, *files.test])
    sides = sizes[["width", "height"]]
    square = 100 * (sizes["width"] == sizes["height"]).mean()
    low, middle, high = sides.min(), sides.median(), sides.max()
    print(
        f"sizes      {low['width']} x {low['height']} to {high['width']} x "
        f"{high['height']} pixels, median {middle['width']:.0f} x "
        f"{middle['height']:.0f}; {square:.0f} % square"
    )
    return {"unreadable": unreadable, "files": sizes}


def _show(table) -> None:
    if len(table):
        print(table.head(_SHOWN).to_string(index=False))
    if len(table) > _SHOWN:
        print(f"... and {len(table) - _SHOWN:,} more rows")


def _folder(flags: Inspect) -> pathlib.Path:
    name = flags.output or f"inspection_{flags.dataset}".replace("/", "_")
    folder = pathlib.Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: pathlib.Path, table) -> None:
    from color_s4l.artifacts.files import write_atomically

    # Names of files need not be Unicode.
    content = table.to_csv(index=False).encode(errors="backslashreplace")
    write_atomically(path, lambda file: file.write(content))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(inspect, Inspect, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
