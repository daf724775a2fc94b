"""What a term is: a frozen dataclass whose fields are its hyper-parameters."""

import dataclasses
import typing
from collections.abc import Mapping

import keras

from color_s4l.networks.network import Network


class Outcome(typing.NamedTuple):
    """Named scalars of one step.

    Attributes:
        terms: Minimised: their sum is the loss.
        watch: Only logged.
    """

    terms: dict[str, typing.Any]
    watch: dict[str, typing.Any]


class Progress(typing.NamedTuple):
    """How far the run is.

    Attributes:
        step: Integer scalar tensor, from 0.
        steps: All steps of the run.
        steps_per_epoch: Steps of one pass over the unlabelled images.
    """

    step: typing.Any
    steps: int
    steps_per_epoch: int


@dataclasses.dataclass(frozen=True)
class Term:
    """One addend of a method's loss; equal terms are the same term.

    Fields are hyper-parameters with the source's values as defaults.
    """

    def views(self) -> tuple[str, ...]:
        """Names of the views (`color_s4l.views.step.VIEWS`) that it reads."""
        return ()

    def heads(self, num_classes: int) -> Mapping[str, int]:
        """Name -> number of classes of the heads that it needs."""
        return {}

    def create_state(
        self, network: Network, num_examples: int
    ) -> keras.layers.Layer | None:
        """What it remembers from step to step, as a layer's weights; None: nothing.

        Args:
            network: The student, built.
            num_examples: Number of unlabelled images; a batch's `index` is below it.
        """
        return None

    def loss(
        self,
        network: Network,
        batch: Mapping[str, typing.Any],
        state: keras.layers.Layer | None,
        progress: Progress,
    ) -> Outcome:
        """The step's named scalars; gradient flows through `Outcome.terms`.

        Args:
            network: The student.
            batch: The views by name, `labels` and `index`.
            state: Of `create_state`.
            progress: The current step.
        """
        raise NotImplementedError

    def after_update(
        self,
        network: Network,
        batch: Mapping[str, typing.Any],
        state: keras.layers.Layer | None,
        watch: Mapping[str, typing.Any],
    ) -> None:
        """Changes `state` after the optimizer's update; the only place that does."""
