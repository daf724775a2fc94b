"""What is measured: one framework, network, method and precision."""

import dataclasses

import numpy as np

from color_s4l.data import Data
from color_s4l.settings import Run

CLASSES = 10
NOISE = "noise"  # the data set
# What benchmarks/pytorch computes in; it has every network of ours.
PLAIN_POLICIES = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table, before it is measured.

    Attributes:
        backend: "tensorflow" or "jax": ours; "torch": the plain PyTorch step.
        network: Name of a trunk.
        method: Name of a method, or a sum.
        dtype_policy: As of color_s4l.train.
        width: As of color_s4l.train.
        batch_size: Unlabelled images per step.
        image_size: Side in pixels.
        steps: Of one measurement.
        devices: As of color_s4l.train.
        jit_compile: As of color_s4l.train.
        steps_per_execution: As of color_s4l.train.
        tasks: The method's proxy tasks; the PyTorch step knows no methods.
        labeled_batch: As of color_s4l.train; the PyTorch step needs a number.
        zca: Whether the PyTorch step whitens; ours decides by itself.
    """

    backend: str
    network: str
    method: str
    dtype_policy: str
    width: float
    batch_size: int
    image_size: int
    steps: int
    devices: int = 1
    jit_compile: bool | None = None
    steps_per_execution: int = 1
    tasks: tuple[str, ...] = ()
    labeled_batch: int | None = None
    zca: bool = False

    @property
    def unlabeled(self) -> int:
        """Unlabelled images: one measurement is one epoch."""
        return self.batch_size * self.steps

    def dataset(self) -> Data:
        """Images of noise: what they show costs no time, reading real ones would."""
        random = np.random.default_rng(0)
        count = max(self.unlabeled, 10 * CLASSES)
        shape = (count, self.image_size, self.image_size, 3)
        images = random.integers(0, 256, shape, "uint8")
        labels = (np.arange(count) % CLASSES).astype("int32")
        names = tuple(str(number) for number in range(CLASSES))
        return Data(NOISE, names, images, labels, images[:10], labels[:10])


def plain_case(case: Case) -> Case | None:
    """The case of the PyTorch step that does the same work.

    Args:
        case: Its backend is "torch".

    Returns:
        The case with tasks, labelled batch and whether images are whitened; None where
        PyTorch has no such step.
    """
    from color_s4l import methods
    from color_s4l.terms import Proxies, Supervised
    from color_s4l.terms.proxies import COLOR_S4L
    from color_s4l.training import values
    from color_s4l.training.preparation import labeled_batch

    known = case.dtype_policy in PLAIN_POLICIES
    terms, tasks = methods.terms_of(case.method), ()
    for term in terms:
        if isinstance(term, Proxies) and term == Proxies(tasks=term.tasks):
            tasks = term.tasks
            known &= set(tasks) <= set(COLOR_S4L)
        elif term != Supervised():
            known = False
    if not known or case.devices > 1:
        return None
    run = Run(
        dataset=NOISE,
        network=case.network,
        batch_size=case.batch_size,
        labeled_batch=case.labeled_batch,
    )
    return dataclasses.replace(
        case,
        tasks=tasks,
        labeled_batch=labeled_batch(run, terms),
        zca=values.of_images(run, case.image_size).zca,
    )


class Repainted:
    """In place of a colorizer, whose work is done before the first step."""

    digest = "repainted"

    def colorize(self, images: np.ndarray) -> np.ndarray:
        """Other images of the same shape."""
        return 255 - images
