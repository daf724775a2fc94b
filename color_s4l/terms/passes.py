"""Forward passes of the student over the views of a step, and pseudo-labels from them.

Terms that read the same view share one pass, so the pass is computed once. Terms of
one joint pass also share the batch statistics.
"""

import contextlib
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
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
        views: Names of all views of the forward pass, in the order of its rows.
        outputs: The network's outputs by name, for the requested views only.
        random_states: The random states from which the pass drew its dropout masks
            (`Network.random_states`).
    """

    views: tuple[str, ...]
    outputs: dict[str, Tensor]
    random_states: list


class StepBatch(dict):
    """The named views of a step and the passes over them; created in every step.

    Args:
        views: The views by name.
        joint: Names of views that are computed in one forward pass.
    """

    def __init__(self, views: Batch, joint: Sequence[str] = ()):
        super().__init__(views)
        self.joint = tuple(joint)
        self.passes: dict[tuple[tuple[str, ...], str], Pass] = {}


def student_pass(
    network: Network, batch: Batch, *views: str, bn_stats: str = "both"
) -> Pass:
    """Returns the student's training pass over views; computes it at most once.

    The views have common batch statistics. If they are in `StepBatch.joint`, they are
    computed together with all other views in it, and the moving statistics are always
    updated.

    Args:
        network: The student.
        batch: The views by name. Passes are shared between terms if it is a
            `StepBatch`.
        *views: Names of the views.
        bn_stats: As for `moving_statistics`.

    Returns:
        The pass, with the rows of one view after the other. Gradient flows through its
        outputs.
    """
    joint = getattr(batch, "joint", ())
    if not set(views) <= set(joint):
        return _pass_over(network, batch, views, bn_stats)
    whole = _pass_over(network, batch, joint, "both")
    outputs = {
        name: rows_of(output, batch, joint, views)
        for name, output in whole.outputs.items()
    }
    return whole._replace(outputs=outputs)


def _pass_over(
    network: Network, batch: Batch, views: tuple[str, ...], bn_stats: str
) -> Pass:
    known = batch.passes if isinstance(batch, StepBatch) else {}
    # A pass that updates the moving statistics has the same outputs, so it is also used
    # for terms that must not update them.
    for key in ((views, bn_stats), (views, "both")):
        if key in known:
            return known[key]
    before = network.random_states()
    with moving_statistics(network, bn_stats):
        outputs = network(joined([batch[view] for view in views]), training=True)
    known[views, bn_stats] = Pass(views, outputs, before)
    return known[views, bn_stats]


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Returns the tensors, concatenated along the first axis."""
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=0)


def rows_of(
    output: Tensor, batch: Batch, computed: Sequence[str], views: Sequence[str]
) -> Tensor:
    """Returns the rows of some views of a forward pass.

    Args:
        output: Result of the pass, `(images of all computed views, ...)`.
        batch: The views by name.
        computed: Names of the views of the pass.
        views: Names of the wanted views.
    """
    if tuple(views) == tuple(computed):
        return output
    sizes = [batch[view].shape[0] for view in computed]
    parts = dict(zip(computed, ops.split(output, np.cumsum(sizes)[:-1]), strict=True))
    return joined([parts[view] for view in views])


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
