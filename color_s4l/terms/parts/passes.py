"""The student's passes over the views of a step, each made once.

Terms of a sum that read the same view read the same pass: with what one of them
costs, the others are free.
"""

import contextlib
import typing
from collections.abc import Mapping

from color_s4l.networks.network import Network


class Pass(typing.NamedTuple):
    """One training pass of the student.

    Attributes:
        outputs: Of the network, by name.
        random_states: What it drew its dropout masks from (`Network.random_states`).
    """

    outputs: dict[str, typing.Any]
    random_states: list


class StepBatch(dict):
    """The named views of a step, and the passes made so far; new in every step."""

    def __init__(self, views: Mapping[str, typing.Any]):
        super().__init__(views)
        self.passes: dict[tuple[str, str], Pass] = {}


def student_pass(
    network: Network,
    batch: Mapping[str, typing.Any],
    view: str,
    bn_stats: str = "both",
) -> Pass:
    """The student's training pass over a view, made now or taken from another term.

    Args:
        network: The student.
        batch: The views by name; passes are shared where it is a `StepBatch`.
        view: Name of the view.
        bn_stats: "both": the pass moves the batch statistics used for inference;
            "supervised": it leaves them alone.

    Returns:
        The pass; gradient flows through its outputs.
    """
    known = batch.passes if isinstance(batch, StepBatch) else {}
    if (view, bn_stats) not in known:
        known[view, bn_stats] = _pass(network, batch[view], bn_stats)
    return known[view, bn_stats]


def _pass(network: Network, images, bn_stats: str) -> Pass:
    before = network.random_states()
    with keeping(network, bn_stats):
        return Pass(network(images, training=True), before)


def keeping(network: Network, bn_stats: str) -> contextlib.AbstractContextManager:
    """What keeps the moving statistics during a pass, or lets it move them.

    Args:
        network: The student.
        bn_stats: "both" or "supervised", as of `student_pass`.
    """
    if bn_stats == "both":
        return contextlib.nullcontext()
    return network.moving_statistics_kept()
