"""What a term is: a frozen dataclass whose fields are its hyper-parameters."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence

import keras

from color_s4l.networks.network import Network
from color_s4l.terms.parts import ranges


class Outcome(typing.NamedTuple):
    """What the terms make of one step.

    Attributes:
        terms: Named scalars, minimised: their sum is the loss.
        watch: Named scalars, only logged.
        kept: Named tensors for `after_update`, the batch first: of the whole step
            there, where each device has only its rows here. None: nothing.
    """

    terms: dict[str, typing.Any]
    watch: dict[str, typing.Any]
    kept: dict[str, typing.Any] | None = None


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

    Raises:
        InputError: A value is out of its range (`color_s4l.terms.parts.ranges`).
    """

    def __post_init__(self):
        ranges.check(self, ranges.TERM_FIELDS)

    def views(self) -> tuple[str, ...]:
        """Names of the views (`color_s4l.views.step.VIEWS`) that it reads."""
        return ()

    def heads(self, num_classes: int) -> Mapping[str, int]:
        """Name -> number of classes of the heads that it needs."""
        return {}

    class_weighted: typing.ClassVar[bool] = False
    one_pass: typing.ClassVar[bool] = False

    def proxy_tasks(self) -> tuple[str, ...]:
        return ()

    def attention(self) -> bool:
        """Whether the network needs an attention module after its trunk."""
        return False

    def draw(
        self, seed: keras.random.SeedGenerator, shapes: Mapping[str, tuple[int, ...]]
    ) -> typing.Any:
        """What chance decides for it in a whole step, all devices together.

        Args:
            seed: Advanced by the draws.
            shapes: Of the step's "labeled" and "unlabeled" images:
                `(groups, images per group, height, width, 3)`.

        Returns:
            Nested arrays, `groups` first: each device gets its groups of them, as
            `batch["draws"][self]`. None: nothing.
        """
        return None

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
            batch: The views by name, `labels`, `index`, and in `draws` what each
                term drew.
            state: Of `create_state`.
            progress: The current step.
        """
        raise NotImplementedError

    def after_update(
        self,
        network: Network,
        state: keras.layers.Layer | None,
        kept: Mapping[str, typing.Any],
        progress: Progress,
    ) -> None:
        """Changes `state` after the optimizer's update; the only place that does.

        Args:
            network: The student, updated.
            state: Of `create_state`.
            kept: What the terms kept in `loss`, of the images of all devices.
            progress: `step` is the number of updates made, from 1.
        """

    def evaluated(
        self, network: Network, state: keras.layers.Layer | None
    ) -> Mapping[str, Sequence]:
        """Further weights to be evaluated, logged and saved beside the student's.

        Args:
            network: The student.
            state: Of `create_state`.

        Returns:
            Name -> pairs of a variable of the network and the value in its place.
        """
        return {}
