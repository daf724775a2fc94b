"""Tables of labels: a CSV file with the columns `filename` and `label`.

    filename,label
    2024/IMG_0001.JPG,cat

The values of an optional column `split` are `train` or `test`, for training images and
test images; an empty value means `train`. Label Studio's exports (JSON and CSV) are
read too.
"""

import codecs
import io
import pathlib
import unicodedata
import warnings

import pandas as pd

from color_s4l.data import label_studio
from color_s4l.errors import InputError

COLUMNS = ("filename", "label")
SPLIT = "split"
PARTS = ("train", "test")
_SEPARATORS = ",;\t"
# UTF-32 is before UTF-16, because the byte order mark of UTF-32 begins with the byte
# order mark of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def composed(name: str) -> str:
    """Returns a name in Unicode form NFC: a letter and its accent are one character.

    On macOS, file names can store them as two characters.
    """
    return unicodedata.normalize("NFC", name)


def read(path: pathlib.Path) -> pd.DataFrame:
    """Reads a table of labels.

    Args:
        path: A file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark. Any other
            file is read as Latin-1, with a warning. Columns are separated by commas,
            semicolons or tabs. A file that ends in .json is Label Studio's JSON export.

    Returns:
        The columns `filename`, `label` and `split`, as text, without the other columns.
        An empty label means that the image has no label. Labels are in Unicode form
        NFC. `split` is "train" or "test"; None in all rows if the table has no such
        column.

    Raises:
        InputError: The file cannot be read, is not a table of labels, names a file
            twice, or has an unknown value in `split`.
    """
    text = _text(path)
    if path.suffix.lower() == ".json":
        table = label_studio.read_json(path, text)
    else:
        table = _from_csv(path, text)
    has_split = SPLIT in table
    table = table[[*COLUMNS, *[SPLIT] * has_split]].map(str.strip)
    table["label"] = table["label"].map(composed)
    _check_rows(path, table)
    if not has_split:
        return table.assign(**{SPLIT: None})
    table[SPLIT] = table[SPLIT].str.lower().replace("", PARTS[0])
    _check_split(path, table)
    return table


def _from_csv(path: pathlib.Path, text: str) -> pd.DataFrame:
    """Returns a table with the columns `filename` and `label`, and perhaps others."""
    header = text.partition("\n")[0]
    separator = next((s for s in _SEPARATORS if s in header), ",")
    try:
        # All columns as text: a class may be called "NA" or "007".
        table = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False
        )
    except (ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a table of labels: {reason}.") from error
    table.columns = [str(name).strip() for name in table.columns]
    if label_studio.is_csv_export(table):
        return label_studio.from_csv(path, table)
    each_once = all(list(table).count(name) == 1 for name in COLUMNS)
    each_once &= list(table).count(SPLIT) <= 1
    # If rows have more values than columns, pandas uses the first values as the index.
    if not each_once or not isinstance(table.index, pd.RangeIndex):
        found = ", ".join(repr(name)[:40] for name in list(table)[:8])
        raise InputError(
            f"{path} is not a table of labels: expected the columns "
            f"{' and '.join(COLUMNS)}, each once, and in every row one value for each "
            f"column. Received: {found or 'nothing'}."
        )
    return table


def _text(path: pathlib.Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    encoding = next((e for m, e in _MARKS.items() if content.startswith(m)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(
                f"{path} begins with the byte order mark of {encoding} but is not "
                f"valid {encoding} ({error.reason})."
            ) from error
    warnings.warn(f"{path} is not UTF-8 and was read as Latin-1.", stacklevel=2)
    return content.decode("latin-1")


def _check_rows(path: pathlib.Path, table: pd.DataFrame) -> None:
    if not len(table):
        raise InputError(f"{path} has no rows.")
    for wrong, fault in (
        (table["filename"] == "", "has no filename"),
        (table["filename"].duplicated(), "repeats a filename"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{path}, row {row + 1} {fault}: {table['filename'].iloc[row]!r} "
                f"({int(wrong.sum())} of {len(table)} rows)."
            )


def _check_split(path: pathlib.Path, table: pd.DataFrame) -> None:
    wrong = ~table[SPLIT].isin(PARTS).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{path}, row {row + 1}: expected split to be {' or '.join(PARTS)}. "
            f"Received: {table[SPLIT].iloc[row]!r} ({int(wrong.sum())} of {len(table)} "
            "rows). For validation images use `validation`, or rename the column."
        )
