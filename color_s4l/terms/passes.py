"""Forward passes of the student over the views of a step, and pseudo-labels from them.

Terms that read the same view share one pass, so the pass is computed once.
"""

import contextlib
import typing
from collections.abc import Mapping
from typing import Annotated

from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import OneOf
from color_s4l.networks.network import Network

# The views of a step by name, with `labels`, `index` and `draws`.
Batch = Mapping[str, typing.Any]
# Type of the hyper-parameter `bn_stats`: "both": passes over labelled and unlabelled
# images update the moving batch statistics, which are used for inference;
# "supervised": only passes over labelled images do.
BnStats = Annotated[str, OneOf("both", "supervised")]


class Pass(typing.NamedTuple):
    """One forward pass in training mode.

    Attributes:
        outputs: The network's outputs by name.
        random_states: The random states from which the pass drew its dropout masks
            (`Network.random_states`).
    """

    outputs: dict[str, Tensor]
    random_states: list


class StepBatch(dict):
    """The named views of a step and the passes over them; created in every step."""

    def __init__(self, views: Batch):
        super().__init__(views)
        self.passes: dict[tuple[str, str], Pass] = {}


def student_pass(
    network: Network, batch: Batch, view: str, bn_stats: str = "both"
) -> Pass:
    """Returns the student's training pass over a view; computes it at most once.

    Args:
        network: The student.
        batch: The views by name. Passes are shared between terms if it is a
            `StepBatch`.
        view: Name of the view.
        bn_stats: As for `moving_statistics`.

    Returns:
        The pass; gradient flows through its outputs.
    """
    known = batch.passes if isinstance(batch, StepBatch) else {}
    if (view, bn_stats) not in known:
        before = network.random_states()
        with moving_statistics(network, bn_stats):
            outputs = network(batch[view], training=True)
        known[view, bn_stats] = Pass(outputs, before)
    return known[view, bn_stats]


def moving_statistics(
    network: Network, bn_stats: str
) -> contextlib.AbstractContextManager:
    """Returns a context in which passes update, or do not update, moving statistics.

    Args:
        network: The student.
        bn_stats: "both": passes update the moving statistics; "supervised": passes
            leave them unchanged.
    """
    if bn_stats == "both":
        return contextlib.nullcontext()
    return network.moving_statistics_kept()


def target_logits(network: Network, outputs: Mapping[str, Tensor]) -> Tensor:
    """Returns class logits of a pass for use as a target, without head dropout.

    The published networks have no dropout before the class head. With dropout there,
    targets would be noisier than published.

    Args:
        network: The student.
        outputs: Outputs of a training pass.

    Returns:
        Float32 `(batch, classes)`, without gradient.
    """
    logits = network.heads["class"](outputs["pooled"])
    return ops.stop_gradient(ops.cast(logits, "float32"))


def pseudo_labels(
    network: Network, outputs: Mapping[str, Tensor], threshold: float
) -> tuple[Tensor, Tensor]:
    """Returns the most probable classes, and a mask of the confident predictions.

    Args:
        network: The student.
        outputs: Outputs of a training pass.
        threshold: Smallest probability of a label that is used; above 1: no label is
            used.

    Returns:
        Labels, int32 `(batch,)`, and a mask, float `(batch,)`: 1 where the label's
        probability is at least the threshold, else 0.
    """
    logits = target_logits(network, outputs)
    confident = ops.max(ops.softmax(logits), axis=-1) >= threshold
    return most_probable(logits), ops.cast(confident, "float32")


def most_probable(predictions: Tensor) -> Tensor:
    """Returns the most probable classes, int32 `(batch,)`.

    Args:
        predictions: Logits or probabilities, float `(batch, classes)`.
    """
    return ops.cast(ops.argmax(predictions, axis=-1), "int32")
