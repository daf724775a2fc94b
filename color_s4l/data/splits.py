"""A split: which training images show their labels, which are held out.

Balanced over the classes, as in the published code of SESEMI
(https://github.com/vuptran/sesemi, `utils.py`). Differs from it: the order of
each class is drawn from (seed, class), not from one stream over all classes,
and validation images come from the other end of that order, so that holding
some out does not change which images are labelled.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from color_s4l.data.dataset import UNLABELED
from color_s4l.data.streams import Purpose, permutation
from color_s4l.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Numbers of training images (positions in `Dataset.images`), each ascending.

    Attributes:
        labeled: int64 `(l,)`: used with their labels.
        unlabeled: int64 `(u,)`: used without; may contain the labelled ones, as
            published, never the validation ones.
        validation: int64 `(v,)`: held out of training, for selection.
    """

    labeled: np.ndarray
    unlabeled: np.ndarray
    validation: np.ndarray


def draw(
    labels: np.ndarray,
    classes: Sequence[str],
    labeled_count: int | None,
    unlabeled_count: int | None,
    validation_count: int,
    seed: int,
) -> Split:
    """Draws a split; smaller counts of the same seed are parts of larger ones.

    Args:
        labels: int32 `(n,)` in [0, classes), -1 for images without a label.
        classes: The names of the classes.
        labeled_count: Labelled images in total, the same number of each class;
            None for every image with a label that is not held out. That very
            number is allowed too, though classes may then differ in size.
        unlabeled_count: Images used without their labels, drawn uniformly from
            all that are not held out; None for all of them.
        validation_count: Images held out in total, the same number of each
            class; 0 for none.
        seed: At least 0.

    Returns:
        The `Split`.

    Raises:
        InputError: A count is not positive (validation: negative), larger than
            what there is, or not divisible by the classes; the seed is negative.
    """
    if seed < 0:
        raise InputError(f"Expected --seed of at least 0. Received: {seed}.")
    known = int((labels != UNLABELED).sum())
    _check_count("--validation", validation_count, 0, known, "labelled images")
    held_out = _per_class("--validation", validation_count, classes)
    rest = known - validation_count
    if labeled_count is not None:
        _check_count("--labels", labeled_count, 1, rest, "labelled images")
    everything = labeled_count in (None, rest)
    shown = 0 if everything else _per_class("--labels", labeled_count, classes)
    orders = _class_orders(labels, classes, shown, held_out, seed)
    validation = _sorted([order[len(order) - held_out :] for order in orders])
    labeled = _sorted(
        [order[: len(order) - held_out if everything else shown] for order in orders]
    )
    if not len(labeled):
        raise InputError(
            f"No labelled image is left: --validation={validation_count} of {known}."
        )
    unlabeled = _unlabeled(len(labels), validation, unlabeled_count, seed)
    return Split(labeled, unlabeled, validation)


def _check_count(flag: str, count: int, lowest: int, available: int, what: str) -> None:
    if count < lowest:
        raise InputError(f"Expected {flag} of at least {lowest}. Received: {count}.")
    if count > available:
        raise InputError(f"{flag}={count}, but there are only {available} {what}.")


def _per_class(flag: str, count: int, classes: Sequence[str]) -> int:
    each, rest = divmod(count, len(classes))
    if rest:
        near = sorted({max(1, each) * len(classes), (each + 1) * len(classes)})
        raise InputError(
            f"{flag}={count} is not divisible by the {len(classes)} classes; "
            f"give {' or '.join(str(n) for n in near)}."
        )
    return each


def _class_orders(
    labels: np.ndarray, classes: Sequence[str], shown: int, held_out: int, seed: int
) -> list[np.ndarray]:
    """Per class, its image numbers in an order drawn from (seed, class)."""
    orders = []
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        needed = max(shown, 1) if held_out else shown
        if len(members) < needed + held_out:
            raise InputError(
                f"Class {name!r} has {len(members)} labelled images, but --labels and "
                f"--validation ask for {needed} + {held_out} of every class."
            )
        order = permutation(len(members), seed, Purpose.CLASS_ORDER, label)
        orders.append(members[order])
    return orders


def _sorted(parts: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(parts)).astype(np.int64)


def _unlabeled(
    images: int, validation: np.ndarray, count: int | None, seed: int
) -> np.ndarray:
    # The order is drawn over all images, so that it does not depend on --validation.
    order = permutation(images, seed, Purpose.UNLABELED_SUBSET, 0)
    order = order[~np.isin(order, validation)]
    if count is not None:
        _check_count(
            "--unlabeled", count, 1, len(order), "images outside of validation"
        )
    return _sorted([order[:count]])
