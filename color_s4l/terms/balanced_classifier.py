"""ABC: a second class head that is trained on all classes equally often.

Lee, Shin & Kim 2021 (https://arxiv.org/abs/2110.10368), with constants of the published
code.
"""

import dataclasses
from typing import Annotated

import keras
from keras import ops
from keras.random import SeedGenerator

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast
from color_s4l.networks.network import CLASSES, Network, Values
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, most_probable, student_pass
from color_s4l.terms.term import Kept, Outcome, Progress, Shapes, State, Term

HEAD = "balanced"


class Counts(keras.layers.Layer):
    """The numbers of labelled images seen so far, by class.

    Args:
        classes: Number of classes. Each count starts at 1.
    """

    def __init__(self, classes: int):
        super().__init__(name="counts", dtype="float32")
        self.counts = self.add_weight(
            name="counts", shape=(classes,), initializer="ones", trainable=False
        )
        self.built = True

    def share(self) -> Tensor:
        """Returns the smallest count divided by each count, float32 `(classes,)`."""
        return ops.min(self.counts) / self.counts.value


@register_term("abc", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class BalancedClassifier(Term):
    """Cross-entropy of an auxiliary balanced classifier, for imbalanced classes.

    The network has a second class head, the balanced head. Let n_c be the number of
    labelled images of class c, and n_min the smallest of these numbers. A labelled
    image of class c is used with probability n_min / n_c.

    An unlabelled image is only used if the largest probability that the balanced head
    predicts for the weak view reaches the threshold. It is then used with a probability
    that falls linearly from 1 at the first step to n_min / n_c at the last step, where
    c is the predicted class. The target for the strong view is the prediction for the
    weak view. The error of the balanced head is reported as `balanced`.

    This term does not train the first class head. Add the term to a method that does:
    `--method=fixmatch+abc`. With `--final_weights=balanced`, the balanced head is used
    in the result instead of the first head.

    Differs from the paper: there is one strong view instead of two, so the loss of this
    view is multiplied by 2; n_c is counted during the training, over the labelled
    images of the steps so far.

    Attributes:
        weight: Factor on the losses; 1 as published.
        threshold: Smallest probability of a prediction that is used; 0.95 as published.
        bn_stats: "both": the passes over unlabelled images update the moving
            statistics; "supervised": they do not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    threshold: Annotated[float, AtLeast(0)] = 0.95
    bn_stats: BnStats = "both"

    reads = ("labeled", "weak", "strong")

    def heads(self, num_classes: int) -> dict[str, int]:
        """Returns the class head and the balanced head."""
        return {CLASSES: num_classes, HEAD: num_classes}

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> dict[str, Tensor]:
        """Draws a number in [0, 1) for each image."""
        return {
            name: keras.random.uniform(shapes[name][:2], seed=seed)
            for name in ("labeled", "unlabeled")
        }

    def create_state(self, network: Network, num_examples: int) -> Counts:
        """Returns the counts of the labelled images."""
        return Counts(network.heads[HEAD].units)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `abc_loss` and `abc_unlabeled_loss`.

        Also logs `abc_used`, the share of unlabelled images that are used, in percent.
        """
        draws, share = batch["draws"][self], state.share()
        labels = batch["labels"]
        labeled = student_pass(network, batch, "labeled").outputs[HEAD]
        counted = _chosen(draws["labeled"], ops.take(share, labels))
        entropy = counted * losses.label_entropy(labels, labeled)

        weak, strong = (
            student_pass(network, batch, name, bn_stats=self.bn_stats).outputs[HEAD]
            for name in ("weak", "strong")
        )
        targets = ops.stop_gradient(ops.softmax(weak))
        wanted = 1 - progress.done(1) * (1 - ops.take(share, most_probable(targets)))
        confident = ops.cast(ops.max(targets, axis=-1) >= self.threshold, "float32")
        used = confident * _chosen(draws["unlabeled"], wanted)
        unlabeled = used * losses.cross_entropy(targets, strong)
        return Outcome(
            terms={
                "abc_loss": self.weight * ops.mean(entropy),
                "abc_unlabeled_loss": 2 * self.weight * ops.mean(unlabeled),
            },
            watch={"abc_used": 100 * ops.mean(used)},
            kept={"abc_labels": labels},
        )

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Adds the labels of the step to the counts."""
        labels = ops.one_hot(kept["abc_labels"], state.counts.shape[0], dtype="float32")
        state.counts.assign_add(ops.sum(labels, axis=0))

    def further_weights(self) -> tuple[str, ...]:
        """Returns the name of the weights with the balanced head."""
        return (HEAD,)

    def evaluated(self, network: Network, state: State) -> dict[str, Values]:
        """Returns the weights of the balanced head, to be used in the class head."""
        own, balanced = network.heads[CLASSES], network.heads[HEAD]
        pairs = zip(own.weights, balanced.weights, strict=True)
        return {HEAD: [(variable, other.value) for variable, other in pairs]}


def _chosen(draws: Tensor, probabilities: Tensor) -> Tensor:
    """Returns 1 for the images that are drawn with these probabilities, else 0."""
    return ops.cast(ops.reshape(draws, (-1,)) < probabilities, "float32")
