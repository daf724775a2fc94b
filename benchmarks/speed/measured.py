"""What a measurement found."""

import dataclasses
import statistics

from benchmarks.speed.case import Case


@dataclasses.dataclass(frozen=True)
class Measured:
    """One case.

    Attributes:
        case: What was measured.
        seconds: Of each repetition of the case's steps.
        images_per_step: Through the trunk.
        memory: Peak bytes: "process", and "device" (None on a CPU).
        devices: Names of the accelerators, or `["CPU"]`.
    """

    case: Case
    seconds: list[float]
    images_per_step: int
    memory: dict
    devices: list[str]

    @property
    def seconds_per_step(self) -> float:
        """The median."""
        return statistics.median(self.seconds) / self.case.steps

    @property
    def images_per_second(self) -> float:
        """Through the trunk: labelled images and views, by the median."""
        return self.images_per_step / self.seconds_per_step

    @property
    def spread(self) -> tuple[float, float]:
        """Images per second of the slowest and of the fastest repetition."""
        images = self.images_per_step * self.case.steps
        return images / max(self.seconds), images / min(self.seconds)
