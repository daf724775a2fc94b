"""FixMatch: a confident prediction for the weak view is the strong view's label.

Sohn et al. 2020 (https://arxiv.org/abs/2001.07685).
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

import keras
import numpy as np
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast, Below
from color_s4l.networks.network import Network, Values
from color_s4l.registry import TERMS, register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import (
    Batch,
    BnStats,
    most_probable,
    student_pass,
    target_logits,
)
from color_s4l.terms.polyak import Averages, warmed_up
from color_s4l.terms.term import Kept, Outcome, Progress, State, Term


class Labeler(keras.layers.Layer):
    """The state of a term with pseudo-labels: averages, and the weights of a teacher.

    Args:
        network: A built network.
        averages: Name -> first value of an exponential moving average.
        teacher: Whether the weights are averaged too.
    """

    def __init__(
        self,
        network: Network,
        averages: Mapping[str, np.ndarray | float],
        teacher: bool,
    ):
        super().__init__(name="labeler", dtype="float32")
        self.teacher = Averages(network) if teacher else None
        self.of = {
            name: self.add_weight(
                name=name,
                shape=np.shape(value),
                initializer=keras.initializers.Constant(value),
                trainable=False,
            )
            for name, value in averages.items()
        }
        self.built = True

    def move(self, new: Mapping[str, Tensor], decay: float) -> None:
        """Moves each average towards a new value.

        Args:
            new: Name -> value, for all averages.
            decay: Factor on the old average, in [0, 1).
        """
        for name, value in new.items():
            average = self.of[name]
            average.assign(decay * average + (1 - decay) * value)


@dataclasses.dataclass(frozen=True)
class WeakToStrong(Term):
    """Cross-entropy of the strong view with the pseudo-label of the weak view.

    The base class of terms that differ in the weight of each image (`weights`). The
    loss is averaged over all unlabelled images, also those with weight 0, as published.

    Attributes:
        weight: Factor on the loss; 1.
        teacher: Decay, in [0, 1), of a moving average of the student's weights. The
            network with the averaged weights predicts the pseudo-labels, as in
            `mean_teacher`. 0 as published: the student predicts the pseudo-labels.
        bn_stats: "both": the passes update the moving statistics, as published, where
            labelled, weak and strong images are one batch; "supervised": they do not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    teacher: Annotated[float, Below(1)] = 0.0
    bn_stats: BnStats = "both"

    reads: ClassVar[tuple[str, ...]] = ("weak", "strong")

    @property
    def _name(self) -> str:
        return TERMS.name_of(type(self))

    def create_state(self, network: Network, num_examples: int) -> Labeler | None:
        """Returns the averages and the teacher; None if there are none."""
        averages = self.averages(network)
        if not averages and not self.teacher:
            return None
        return Labeler(network, averages, teacher=self.teacher > 0)

    def averages(self, network: Network) -> dict[str, np.ndarray | float]:
        """Returns the first values of the term's moving averages; by default none."""
        return {}

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Moves the teacher towards the student."""
        if self.teacher:
            state.teacher.move(network, 1 - warmed_up(self.teacher, progress.step))

    def further_weights(self) -> tuple[str, ...]:
        """Returns the name of the teacher's weights."""
        return (f"{self._name}_teacher",) if self.teacher else ()

    def evaluated(self, network: Network, state: State) -> dict[str, Values]:
        """Returns the teacher's weights."""
        return {name: state.teacher.values(network) for name in self.further_weights()}

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `<term>_loss`.

        Also logs `<term>_labeled`, the mean weight of the images in percent.
        """
        strong = student_pass(network, batch, "strong", bn_stats=self.bn_stats).outputs
        probabilities = self._predictions(network, batch, state)
        labels, weights = self.weights(network, batch, state, probabilities)
        entropy = losses.label_entropy(labels, strong["class"])
        factor = self.weight * self.factor(progress)
        terms = {f"{self._name}_loss": factor * ops.mean(weights * entropy)}
        terms |= self.further(state, weights, ops.softmax(strong["class"]))
        return Outcome(
            terms=terms,
            watch={f"{self._name}_labeled": 100 * ops.mean(weights)},
            kept=self.kept(network, batch, probabilities),
        )

    def _predictions(self, network: Network, batch: Batch, state: State) -> Tensor:
        """Returns the predictions for the weak views, without gradient."""
        if not self.teacher:
            weak = student_pass(network, batch, "weak", bn_stats=self.bn_stats).outputs
            return ops.softmax(target_logits(network, weak))
        with network.apart(state.teacher.values(network)):
            weak = network(batch["weak"], training=True)
            return ops.softmax(target_logits(network, weak))

    def weights(
        self, network: Network, batch: Batch, state: State, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the pseudo-labels and the weights of the unlabelled images.

        Args:
            network: The student.
            batch: The views.
            state: Result of `create_state`.
            probabilities: Predictions for the weak views, float `(batch, classes)`,
                without gradient.

        Returns:
            Labels, int32 `(batch,)`, and weights in [0, 1], float `(batch,)`.
        """
        raise NotImplementedError

    def factor(self, progress: Progress) -> float | Tensor:
        """Returns a factor on the loss that depends on the step; by default 1."""
        return 1.0

    def further(
        self, state: State, weights: Tensor, strong: Tensor
    ) -> dict[str, Tensor]:
        """Returns further losses by name; by default none.

        Args:
            state: Result of `create_state`.
            weights: As returned by `weights`.
            strong: Predictions for the strong views, float `(batch, classes)`.
        """
        return {}

    def kept(
        self, network: Network, batch: Batch, probabilities: Tensor
    ) -> dict[str, Tensor] | None:
        """Returns `Outcome.kept`; by default nothing."""
        return None


@register_term("fixmatch", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class FixMatch(WeakToStrong):
    """Pseudo-labels have weight 1 if their probability reaches a threshold, else 0.

    The published batches have 64 labelled and 448 unlabelled images (`labeled_batch`,
    `batch_size`).

    Attributes:
        threshold: Smallest probability of a pseudo-label with weight 1; 0.95. Above 1:
            all weights are 0.
    """

    threshold: Annotated[float, AtLeast(0)] = 0.95

    def weights(
        self, network: Network, batch: Batch, state: State, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns labels, and weight 1 if the threshold is reached, else 0."""
        confident = ops.max(probabilities, axis=-1) >= self.threshold
        return most_probable(probabilities), ops.cast(confident, "float32")
