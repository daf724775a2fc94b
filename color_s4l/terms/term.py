"""The interface of a loss term; the loss of a method is the sum of its terms.

A term is a frozen dataclass whose fields are its hyper-parameters. It is registered
with `register_term` next to its definition; docs/add_a_term.md shows a complete term.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Annotated

import keras
from keras import ops
from keras.random import SeedGenerator

from color_s4l import fields
from color_s4l.backend import Tensor
from color_s4l.errors import InputError
from color_s4l.fields import OneOf
from color_s4l.networks.network import Gate, Network, Readout, Values
from color_s4l.terms.passes import Batch
from color_s4l.views.step import view

# The layer that `create_state` returned, or None.
State = typing.Any
# `Outcome.kept` of all terms: tensors by name.
Kept = Mapping[str, Tensor]
# Shapes of the step's "labeled" and "unlabeled" images.
Shapes = Mapping[str, tuple[int, ...]]
# Form of a ramp (`Progress.ramp`), the type of the hyper-parameter `ramp`.
Ramp = Annotated[str, OneOf("sigmoid", "linear")]


class Outcome(typing.NamedTuple):
    """The result of a term in one step.

    Attributes:
        terms: Named scalars to minimise; their sum over all terms is the loss.
        watch: Named scalars that are only logged.
        kept: Named tensors for `after_update`, with the batch as first axis. On
            several devices, `loss` returns one device's rows and `after_update`
            receives the rows of the whole step. None: no tensors.
    """

    terms: dict[str, Tensor]
    watch: dict[str, Tensor]
    kept: dict[str, Tensor] | None = None


class Progress(typing.NamedTuple):
    """The current step of a run.

    Attributes:
        step: Integer scalar tensor, from 0.
        steps: Number of steps of the run.
        steps_per_epoch: Number of steps of one pass over the unlabelled images.
    """

    step: Tensor
    steps: int
    steps_per_epoch: int

    def done(self, share: float) -> Tensor:
        """Returns the completed part of a ramp, a float32 scalar in [0, 1].

        Args:
            share: Length of the ramp as a share of the run's steps; 0: the ramp is
                complete from the first step.
        """
        steps = share * self.steps
        if steps <= 0:
            return ops.ones((), "float32")
        return ops.minimum(ops.cast(self.step, "float32") / steps, 1.0)

    def ramp(self, form: str, share: float) -> Tensor:
        """Returns the factor on a weight that grows in the first part of a run.

        Args:
            form: "sigmoid": exp(-5 (1 - t)^2), from 0.0067 to 1 (Laine & Aila 2017;
                Tarvainen & Valpola 2017); "linear": t (Wang et al. 2022, USB). Here t
                is `done(share)`.
            share: Length of the ramp as a share of the run's steps.

        Returns:
            Float32 scalar in [0, 1].
        """
        done = self.done(share)
        return done if form == "linear" else ops.exp(-5.0 * ops.square(1.0 - done))


@dataclasses.dataclass(frozen=True)
class Term:
    """One term of a method's loss. Terms with equal fields are the same term.

    The fields of a subclass are its hyper-parameters. The default of a field is the
    published value; its type hint contains the allowed range (`color_s4l.fields`).

    Attributes:
        reads: Names of the views that the loss reads, unless `views` is overridden.
        class_weighted: Whether the loss multiplies each labelled image's loss by
            `batch["label_weights"]`, if the batch contains them (setting `balance`).
        one_pass: Whether the loss needs exactly one forward pass, over all its views,
            and no other term needs this pass. Terms with this property can run in
            parallel.
        joins_passes: Whether the views of all terms are computed in one forward pass.

    Raises:
        InputError: A hyper-parameter is outside its range.
    """

    reads: typing.ClassVar[tuple[str, ...]] = ()
    class_weighted: typing.ClassVar[bool] = False
    one_pass: typing.ClassVar[bool] = False
    joins_passes: typing.ClassVar[bool] = False

    def __post_init__(self) -> None:
        fields.check(self)

    def views(self) -> tuple[str, ...]:
        """Returns the names of the views that the loss reads."""
        return self.reads

    def heads(self, num_classes: int) -> Mapping[str, int | Gate | Readout]:
        """Returns the heads that the loss needs, by default the class head.

        Returns:
            Name of each head -> its number of outputs, or a `Gate`: a function that
            builds a model from the features to a map of weights. The features are
            multiplied by this map before they are pooled. The map is also an output of
            the network, with the name of the head. Or a `Readout`, which the loss
            applies itself.
        """
        return {"class": num_classes}

    def proxy_tasks(self) -> tuple[str, ...]:
        """Returns the views that the head "proxy" classifies, in label order."""
        return ()

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> typing.Any:
        """Draws the term's random numbers for one step, for all devices together.

        Args:
            seed: SeedGenerator, advanced in place.
            shapes: "labeled" and "unlabeled" -> shape of the step's images,
                `(groups, images per group, height, width, 3)`.

        Returns:
            Nested arrays with `groups` as first axis, or None. `loss` reads the draws
            of its device's groups from `batch["draws"][self]`.
        """
        return None

    def create_state(
        self, network: Network, num_examples: int
    ) -> keras.layers.Layer | None:
        """Returns a layer whose weights the term keeps from step to step, or None.

        Args:
            network: The student (the network that is trained), built.
            num_examples: Number of unlabelled images; the numbers in `batch["index"]`
                are smaller than this number.
        """
        return None

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes the named scalars of a step; gradient flows through `Outcome.terms`.

        Args:
            network: The student.
            batch: The views by name, float32 `(images, height, width, 3)`; `labels`,
                int32, of the labelled images; `index`, int32, the positions of the
                unlabelled images; `draws`, the results of `draw` by term.
            state: Result of `create_state`.
            progress: The current step.
        """
        raise NotImplementedError

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Changes `state` after the optimizer's update; no other method may change it.

        Args:
            network: The student, updated.
            state: Result of `create_state`.
            kept: `Outcome.kept` of all terms, for the images of all devices.
            progress: `step` is the number of updates so far, from 1.
        """

    def unread_views(self) -> int:
        """Returns how many views of an unlabelled image each step leaves unread."""
        return 0

    def further_weights(self) -> tuple[str, ...]:
        """Returns the names of the weights that `evaluated` returns."""
        return ()

    def evaluated(self, network: Network, state: State) -> Mapping[str, Values]:
        """Returns further weights to evaluate and save in addition to the student's.

        Args:
            network: The student.
            state: Result of `create_state`.

        Returns:
            Name -> pairs of a variable of the network and the value to use instead.
        """
        return {}


@dataclasses.dataclass(frozen=True)
class ChosenViews(Term):
    """A term with a hyper-parameter for the views that the loss reads.

    Attributes:
        images: Names of the views.

    Raises:
        InputError: There is no name, a view does not exist, or a name occurs twice.
    """

    images: tuple[str, ...] = ("weak",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.images or ("",):
            view(name)  # raises an error for an unknown name
        if len(set(self.images)) < len(self.images):
            raise InputError(
                f"Expected different views. Received: {', '.join(self.images)}."
            )

    def views(self) -> tuple[str, ...]:
        """Returns `images`."""
        return self.images
