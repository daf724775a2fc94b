"""FixMatch: a confident prediction for the weak view is the strong view's label.

Sohn et al. 2020 (https://arxiv.org/abs/2001.07685).
"""

import dataclasses
from typing import Annotated, ClassVar

from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import TERMS, register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, student_pass, target_logits
from color_s4l.terms.term import Outcome, Progress, State, Term


@dataclasses.dataclass(frozen=True)
class WeakToStrong(Term):
    """Cross-entropy of the strong view with the pseudo-label of the weak view.

    The base class of terms that differ in the weight of each image (`weights`). The
    loss is averaged over all unlabelled images, also those with weight 0, as published.

    Attributes:
        weight: Factor on the loss; 1.
        bn_stats: "both": the passes update the moving statistics, as published, where
            labelled, weak and strong images are one batch; "supervised": they do not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    bn_stats: BnStats = "both"

    reads: ClassVar[tuple[str, ...]] = ("weak", "strong")

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `<term>_loss`.

        Also logs `<term>_labeled`, the mean weight of the images in percent.
        """
        name = TERMS.name_of(type(self))
        weak = student_pass(network, batch, "weak", self.bn_stats).outputs
        strong = student_pass(network, batch, "strong", self.bn_stats).outputs
        probabilities = ops.softmax(target_logits(network, weak))
        labels, weights = self.weights(network, batch, state, probabilities)
        entropy = losses.label_entropy(labels, strong["class"])
        factor = self.weight * self.factor(progress)
        terms = {f"{name}_loss": factor * ops.mean(weights * entropy)}
        terms |= self.further(state, weights, ops.softmax(strong["class"]))
        return Outcome(
            terms=terms,
            watch={f"{name}_labeled": 100 * ops.mean(weights)},
            kept=self.kept(network, batch, probabilities),
        )

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
    """The weight is 1 if the pseudo-label's probability reaches a threshold, else 0.

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
        """Returns weight 1 if the probability reaches the threshold, else 0."""
        confident = ops.max(probabilities, axis=-1) >= self.threshold
        return most_probable(probabilities), ops.cast(confident, "float32")


def most_probable(probabilities: Tensor) -> Tensor:
    """Returns the most probable classes, int32 `(batch,)`."""
    return ops.cast(ops.argmax(probabilities, axis=-1), "int32")
