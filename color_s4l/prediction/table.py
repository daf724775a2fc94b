"""Probabilities to rows: filename, label, probability, and the next classes."""

import heapq
import os
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import pandas as pd


def ranked(
    names: Sequence[str], probabilities: np.ndarray, classes: Sequence[str], top: int
) -> pd.DataFrame:
    """One row per image, its most probable classes in turn.

    Args:
        names: Of the files, n.
        probabilities: `(n, classes)`.
        classes: Their names.
        top: How many classes a row names; all, where there are fewer.

    Returns:
        Columns `filename`, `label`, `probability`, then `label_2`, `probability_2`,
        ...; of equal probabilities the earlier class stands first.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    columns: dict[str, typing.Any] = {"filename": list(names)}
    for place in range(order.shape[1]):
        ending = f"_{place + 1}" if place else ""
        columns[f"label{ending}"] = [classes[k] for k in order[:, place]]
        columns[f"probability{ending}"] = np.take_along_axis(
            probabilities, order[:, place : place + 1], axis=1
        )[:, 0]
    return pd.DataFrame(columns)


def certain(
    rows: pd.DataFrame,
    paths: Sequence[pathlib.Path],
    folder: pathlib.Path,
    confidence: float,
) -> pd.DataFrame:
    """The rows of which the classifier is sure, as labels to train on.

    Args:
        rows: Of `ranked`.
        paths: Their files.
        folder: Where the labels will lie: files below it are named from there, the
            others by their absolute paths, so that both are found again.
        confidence: Smallest probability.

    Returns:
        Columns `filename` and `label`.
    """
    sure = (rows["probability"] >= confidence).to_numpy()
    root = os.path.abspath(folder)
    names = [
        os.path.relpath(path, root) if path.is_relative_to(root) else str(path)
        for path in (pathlib.Path(os.path.abspath(path)) for path in paths)
    ]
    return rows.assign(filename=names)[["filename", "label"]][sure]


def append(rows: pd.DataFrame, file: typing.BinaryIO) -> None:
    """Writes rows to an open CSV file; the header where it is empty."""
    rows.to_csv(
        file,
        header=file.tell() == 0,
        index=False,
        encoding="utf-8",
        errors="surrogateescape",  # names of files are bytes, perhaps no UTF-8
        float_format="%.6f",
    )


class LeastCertain:
    """Keeps the images whose best class is least probable; the rest is forgotten.

    Those are worth labelling next: uncertainty sampling, Lewis & Gale 1994
    (https://arxiv.org/abs/cmp-lg/9407020).

    Args:
        count: How many are kept.
    """

    def __init__(self, count: int):
        self.count = count
        # A heap with the most certain one on top: probability and number, negative.
        self._kept: list[tuple[float, int, pathlib.Path, dict]] = []
        self._seen = 0

    def add(self, paths: Sequence[pathlib.Path], rows: pd.DataFrame) -> None:
        """Looks at one batch: its files, and their rows of `ranked`."""
        for place in np.argsort(rows["probability"], kind="stable")[: self.count]:
            row = rows.iloc[place].to_dict()
            number = self._seen + int(place)
            item = (-row["probability"], -number, paths[place], row)
            heapq.heappush(self._kept, item)
            if len(self._kept) > self.count:
                heapq.heappop(self._kept)
        self._seen += len(rows)

    def items(self) -> list[tuple[pathlib.Path, dict]]:
        """Files with their rows, the least certain first; of equals the earlier."""
        ordered = sorted(self._kept, key=lambda item: (-item[0], -item[1]))
        return [(path, row) for _, _, path, row in ordered]
