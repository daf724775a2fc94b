"""One measured case: framework, network, method and precision."""

import dataclasses
import importlib.util
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from color_s4l import settings
from color_s4l.data import Data
from color_s4l.settings import Run

CLASSES = 10
NOISE = "noise"  # name of the data set
LABELS = 50
# The methods and precisions that benchmarks/pytorch/step.py implements.
PLAIN_METHODS = ("supervised", "sesemi", "color_s4l")
PLAIN_POLICIES = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Case:
    """One case to measure: one row of the table.

    Attributes:
        backend: "tensorflow" or "jax": the library's step; "torch": the plain PyTorch
            step.
        values: The resolved settings of the run in JSON types.
        tasks: Proxy tasks of the method.
        steps: Training steps of one measurement.
    """

    backend: str
    values: Mapping[str, typing.Any]
    tasks: tuple[str, ...]
    steps: int

    @property
    def run(self) -> Run:
        """The settings of the run."""
        return settings.from_json(self.values)

    def columns(self, names: Sequence[str]) -> dict:
        """Returns the backend and the settings `names`, as columns of a table."""
        return {"backend": self.backend, **{name: self.values[name] for name in names}}

    def images(self) -> Data:
        """Returns a data set of noise; the pixel values do not affect the time."""
        random = np.random.default_rng(0)
        size = self.values["image_size"]
        count = max(self.values["unlabeled"], 10 * CLASSES)
        images = random.integers(0, 256, (count, size, size, 3), "uint8")
        labels = (np.arange(count) % CLASSES).astype("int32")
        names = tuple(str(number) for number in range(CLASSES))
        return Data(NOISE, names, images, labels, images[:10], labels[:10])


def make_case(backend: str, run: Run, steps: int) -> Case | None:
    """Returns a case, or None if PyTorch's step does not support the settings.

    Args:
        backend: As for `Case`.
        run: The settings; `image_size` must be set. The data set is replaced by noise.
        steps: Training steps of one measurement.

    Raises:
        InputError: A setting is wrong.
    """
    from color_s4l.training import session

    run = dataclasses.replace(
        run,
        dataset=NOISE,
        labels=LABELS,
        unlabeled=run.batch_size * steps,  # one measurement is one epoch
        colorizer=FakeColorizer.digest,
    )
    terms = session.checked_terms(run)
    resolved = session.resolve(run, terms, run.image_size)
    tasks = tuple(task for term in terms for task in term.proxy_tasks())
    if backend == "torch":
        known = run.method in PLAIN_METHODS and run.dtype_policy in PLAIN_POLICIES
        trunk = importlib.util.find_spec(f"benchmarks.pytorch.{run.network}")
        if not known or trunk is None or run.devices > 1:
            return None
    return Case(backend, dict(resolved.values), tasks, steps)


class FakeColorizer:
    """A stand-in for a colorizer; the measured time does not include colourising."""

    digest = "fake"

    def colorize(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Returns the negatives of the images."""
        return 255 - images
