"""FixMatch with weights or pseudo-labels that adapt to the model's predictions.

FreeMatch: Wang et al. 2023 (https://arxiv.org/abs/2205.07246). SoftMatch: Chen et al.
2023 (https://arxiv.org/abs/2301.10921). AdaMatch: Berthelot et al. 2022
(https://arxiv.org/abs/2106.04732). Distribution alignment: Berthelot et al. 2020
(ReMixMatch, https://arxiv.org/abs/1911.09785). Some constants are from USB's code (Wang
et al. 2022).

All terms keep moving averages of the predictions. Differs from the published code: a
step uses the averages of the steps before it, without its own predictions.
"""

import dataclasses
import math
from typing import Annotated

import numpy as np
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import Above, AtLeast, Below
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms.fixmatch import WeakToStrong
from color_s4l.terms.passes import Batch, most_probable, student_pass, target_logits
from color_s4l.terms.term import Kept, Progress, State

# Added to probabilities before division and logarithm.
SMALLEST = 1e-6


@dataclasses.dataclass(frozen=True)
class Adaptive(WeakToStrong):
    """The base class of terms whose image weights depend on earlier predictions.

    Attributes:
        decay: Decay of the moving averages, in [0, 1); 0.999, for runs of 2^20 steps.
            Runs of some thousand steps need 0.99.
    """

    decay: Annotated[float, Below(1)] = 0.999

    def kept(
        self, network: Network, batch: Batch, probabilities: Tensor
    ) -> dict[str, Tensor]:
        """Returns the predictions; `after_update` moves the averages towards them."""
        return {f"{self._name}_predictions": probabilities}

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Moves the averages and the teacher."""
        super().after_update(network, state, kept, progress)
        predictions = kept[f"{self._name}_predictions"]
        state.move(self.statistics(state, predictions, kept), self.decay)

    def statistics(
        self, state: State, predictions: Tensor, kept: Kept
    ) -> dict[str, Tensor]:
        """Returns the values of one step, towards which the averages move.

        Args:
            state: Result of `create_state`.
            predictions: Predictions for all unlabelled images of the step, float
                `(images, classes)`.
            kept: As for `after_update`.
        """
        raise NotImplementedError


def _confidence(probabilities: Tensor) -> Tensor:
    return ops.max(probabilities, axis=-1)


def _one_hot(probabilities: Tensor) -> Tensor:
    """Returns 1 for the most probable class and 0 for the others, as float32."""
    classes = probabilities.shape[-1]
    return ops.one_hot(most_probable(probabilities), classes, dtype="float32")


def _uniform(network: Network) -> np.ndarray:
    classes = network.heads["class"].units
    return np.full(classes, 1 / classes, "float32")


@register_term("freematch")
@dataclasses.dataclass(frozen=True)
class FreeMatch(Adaptive):
    """FixMatch with a threshold per class, which is lower for rarely predicted classes.

    Algorithm 1 of the paper: tau is the average confidence and p the average
    prediction. An image with pseudo-label c has the weight 1 if its confidence is at
    least tau * p[c] / max(p), else 0. The fairness loss favours predictions that are
    spread evenly over the classes; with several devices, each device computes it for
    its own images.

    Attributes:
        fairness: Factor on the fairness loss; 0.01 as in USB.
    """

    fairness: Annotated[float, AtLeast(0)] = 0.01

    def averages(self, network: Network) -> dict[str, np.ndarray | float]:
        """Returns the first averages of confidence, predictions and pseudo-labels."""
        classes = _uniform(network)
        return {"confidence": classes[0], "predicted": classes, "labels": classes}

    def weights(
        self, network: Network, batch: Batch, state: State, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns labels, and weight 1 if the class's threshold is reached, else 0."""
        labels, predicted = most_probable(probabilities), state.of["predicted"]
        share = ops.take(predicted / ops.max(predicted), labels)
        confident = _confidence(probabilities) >= state.of["confidence"] * share
        return labels, ops.cast(confident, "float32")

    def further(
        self, state: State, weights: Tensor, strong: Tensor
    ) -> dict[str, Tensor]:
        """Returns `freematch_fairness`."""
        count = ops.maximum(ops.sum(weights), 1.0)
        mean = ops.sum(weights[:, None] * strong, axis=0) / count
        labels = ops.sum(weights[:, None] * _one_hot(strong), axis=0) / count
        target = _even(state.of["predicted"], state.of["labels"])
        agreement = ops.sum(target * ops.log(_even(mean, labels) + SMALLEST))
        return {
            "freematch_fairness": self.fairness
            * ops.where(ops.sum(weights) > 0, agreement, 0.0)
        }

    def statistics(
        self, state: State, predictions: Tensor, kept: Kept
    ) -> dict[str, Tensor]:
        """Returns mean confidence, mean prediction and shares of pseudo-labels."""
        return {
            "confidence": ops.mean(_confidence(predictions)),
            "predicted": ops.mean(predictions, axis=0),
            "labels": ops.mean(_one_hot(predictions), axis=0),
        }


def _even(predicted: Tensor, labels: Tensor) -> Tensor:
    """Returns probabilities divided by the shares of labels, scaled to sum to 1."""
    ratio = ops.where(labels > 0, predicted / ops.maximum(labels, SMALLEST), 0.0)
    return ratio / ops.maximum(ops.sum(ratio), SMALLEST)


@register_term("softmatch", tested_with={"decay": 0.0})
@dataclasses.dataclass(frozen=True)
class SoftMatch(Adaptive):
    """FixMatch with a weight that falls like a Gaussian below the mean confidence.

    The paper's truncated Gaussian with uniform alignment: predictions are divided by
    their average before the confidence is computed. The pseudo-labels are computed from
    the unchanged predictions.

    Attributes:
        deviations: Standard deviation of the confidence, divided by the standard
            deviation of the Gaussian; 2.
    """

    deviations: Annotated[float, Above(0)] = 2.0

    def averages(self, network: Network) -> dict[str, np.ndarray | float]:
        """Returns the first averages of predictions, confidence and its variance."""
        classes = _uniform(network)
        return {"predicted": classes, "confidence": classes[0], "variance": 1.0}

    def weights(
        self, network: Network, batch: Batch, state: State, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns labels, and weight 1 if the mean confidence is reached, else less."""
        even = 1 / probabilities.shape[-1]
        aligned = align(probabilities, even, state.of["predicted"])
        below = ops.minimum(_confidence(aligned) - state.of["confidence"], 0.0)
        spread = 2 * state.of["variance"] / self.deviations**2
        return most_probable(probabilities), ops.exp(-ops.square(below) / spread)

    def statistics(
        self, state: State, predictions: Tensor, kept: Kept
    ) -> dict[str, Tensor]:
        """Returns mean prediction, and mean and variance of the aligned confidence."""
        count, classes = predictions.shape
        aligned = align(predictions, 1 / classes, state.of["predicted"])
        confidence = _confidence(aligned)
        return {
            "predicted": ops.mean(predictions, axis=0),
            "confidence": ops.mean(confidence),
            "variance": ops.var(confidence) * count / max(1, count - 1),
        }


@register_term("adamatch", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class AdaMatch(Adaptive):
    """FixMatch whose threshold is a share of the mean confidence on labelled images.

    The paper's distribution alignment: the predictions are scaled so that their average
    equals the average prediction for labelled images. The pseudo-labels and confidences
    are computed from the scaled predictions. With several devices, each device computes
    the threshold from its own labelled images. Differs from the paper: as in USB, the
    logits of labelled images are not interpolated at random, the class loss has no
    strong views, and the average predictions are moving averages.

    Attributes:
        threshold: Share of the labelled images' mean confidence; 0.9 (USB: 0.95).
    """

    threshold: Annotated[float, AtLeast(0)] = 0.9

    reads = ("labeled", "weak", "strong")

    def averages(self, network: Network) -> dict[str, np.ndarray | float]:
        """Returns the first average predictions for unlabelled and labelled images."""
        classes = _uniform(network)
        return {"predicted": classes, "labeled": classes}

    def factor(self, progress: Progress) -> Tensor:
        """Returns a factor that rises from 0 to 1 in the first half of the run."""
        return (1 - ops.cos(math.pi * progress.done(0.5))) / 2

    def weights(
        self, network: Network, batch: Batch, state: State, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns labels of the aligned predictions; weight 1 if confident, else 0."""
        aligned = align(probabilities, state.of["labeled"], state.of["predicted"])
        mean = ops.mean(_confidence(self._labeled(network, batch)))
        confident = _confidence(aligned) >= self.threshold * mean
        return most_probable(aligned), ops.cast(confident, "float32")

    def kept(
        self, network: Network, batch: Batch, probabilities: Tensor
    ) -> dict[str, Tensor]:
        """Also keeps the predictions for the labelled images."""
        labeled = self._labeled(network, batch)
        kept = super().kept(network, batch, probabilities)
        return {**kept, "adamatch_labeled_predictions": labeled}

    def statistics(
        self, state: State, predictions: Tensor, kept: Kept
    ) -> dict[str, Tensor]:
        """Returns the mean predictions for unlabelled and labelled images."""
        return {
            "predicted": ops.mean(predictions, axis=0),
            "labeled": ops.mean(kept["adamatch_labeled_predictions"], axis=0),
        }

    def _labeled(self, network: Network, batch: Batch) -> Tensor:
        outputs = student_pass(network, batch, "labeled").outputs
        return ops.softmax(target_logits(network, outputs))


@register_term("fixmatch_aligned", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class AlignedFixMatch(Adaptive):
    """FixMatch whose pseudo-labels have the class distribution of the labels.

    ReMixMatch's distribution alignment: the predictions are multiplied by the shares of
    the classes among the labels and divided by their own average, then scaled to sum
    to 1. It assumes that the unlabelled images have the same class distribution.
    Differs from the paper: moving averages instead of the mean of the last 128 steps.

    Attributes:
        threshold: Smallest probability of a pseudo-label with weight 1, after the
            alignment; 0.95 as in FixMatch.
    """

    threshold: Annotated[float, AtLeast(0)] = 0.95

    def averages(self, network: Network) -> dict[str, np.ndarray | float]:
        """Returns the first averages of predictions and labels."""
        classes = _uniform(network)
        return {"predicted": classes, "labeled": classes}

    def weights(
        self, network: Network, batch: Batch, state: State, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns labels of the aligned predictions; weight 1 if confident, else 0."""
        aligned = align(probabilities, state.of["labeled"], state.of["predicted"])
        confident = _confidence(aligned) >= self.threshold
        return most_probable(aligned), ops.cast(confident, "float32")

    def kept(
        self, network: Network, batch: Batch, probabilities: Tensor
    ) -> dict[str, Tensor]:
        """Also keeps the labels."""
        kept = super().kept(network, batch, probabilities)
        return {**kept, "fixmatch_aligned_labels": batch["labels"]}

    def statistics(
        self, state: State, predictions: Tensor, kept: Kept
    ) -> dict[str, Tensor]:
        """Returns the mean prediction and the classes' shares of the labels."""
        labels = ops.one_hot(
            kept["fixmatch_aligned_labels"], predictions.shape[-1], dtype="float32"
        )
        return {
            "predicted": ops.mean(predictions, axis=0),
            "labeled": ops.mean(labels, axis=0),
        }


def align(probabilities: Tensor, wanted: Tensor | float, found: Tensor) -> Tensor:
    """Returns predictions whose average comes closer to a wanted distribution.

    Args:
        probabilities: Float `(batch, classes)`.
        wanted: Distribution `(classes,)`, or one probability for all classes.
        found: Average of earlier predictions, `(classes,)`.

    Returns:
        `probabilities * wanted / found`, scaled to sum to 1 in each row.
    """
    scaled = probabilities * (wanted + SMALLEST) / (found + SMALLEST)
    return scaled / ops.sum(scaled, axis=-1, keepdims=True)
