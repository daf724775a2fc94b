"""Which classes are mistaken, and for what."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix


@dataclasses.dataclass(frozen=True, eq=False)
class ClassErrors:
    """Counts over the test images.

    Attributes:
        classes: Names.
        matrix: Images of each class (row) taken for each class (column), integers
            `(classes, classes)`.
    """

    classes: tuple[str, ...]
    matrix: np.ndarray

    @property
    def percent(self) -> np.ndarray:
        """The matrix in percent of each row; a class without images: zeros."""
        return 100 * self.matrix / np.maximum(self.matrix.sum(axis=1, keepdims=True), 1)

    @property
    def rows(self) -> list[dict]:
        """For each class its mistakes.

        Returns:
            `name`, `images`, `wrong`; `error` in %, None without images; `taken_for`,
            the class that it is most often mistaken for, "" for none.
        """
        wrong = self.matrix - np.diag(np.diag(self.matrix))
        return [self._row(place, wrong[place]) for place in range(len(self.classes))]

    def _row(self, place: int, wrong: np.ndarray) -> dict:
        images = int(self.matrix[place].sum())
        return {
            "name": self.classes[place],
            "images": images,
            "wrong": int(wrong.sum()),
            "error": 100 * float(wrong.sum()) / images if images else None,
            "taken_for": self.classes[wrong.argmax()] if wrong.any() else "",
        }

    def confusions(self, count: int) -> list[dict]:
        """The most frequent mistakes.

        Args:
            count: At most so many.

        Returns:
            `true` and `taken_for`, names; `images`, their number; `percent` of the
            class; the largest numbers first.
        """
        wrong = self.matrix - np.diag(np.diag(self.matrix))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = [divmod(int(place), len(self.classes)) for place in order]
        return [
            {
                "true": self.classes[true],
                "taken_for": self.classes[other],
                "images": int(wrong[true, other]),
                "percent": float(self.percent[true, other]),
            }
            for true, other in pairs
            if wrong[true, other]
        ]


def class_errors(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> ClassErrors:
    """Counts mistakes.

    Args:
        labels: True classes, integers `(n,)`.
        predicted: Predicted classes, integers `(n,)`.
        classes: Names.

    Returns:
        The counts.
    """
    places = np.arange(len(classes))
    return ClassErrors(
        tuple(classes), confusion_matrix(labels, predicted, labels=places)
    )
