"""What the student takes an unlabelled image for, as a target without gradient."""

import typing

from keras import ops

from color_s4l.networks.network import Network


def guess(network: Network, outputs: typing.Mapping[str, typing.Any]):
    """Logits of a pass without the dropout before its class head.

    The published networks have no dropout there; ours would blur the guesses with it.

    Args:
        network: The student.
        outputs: Of a training pass.

    Returns:
        Float32 `(batch, classes)`, without gradient.
    """
    logits = network.heads["class"](outputs["pooled"])
    return ops.stop_gradient(ops.cast(logits, "float32"))


def confident(logits, threshold: float):
    """The most probable classes, and which of them are probable enough.

    Args:
        logits: Float `(batch, classes)`.
        threshold: Least probability; above 1 none is probable enough.

    Returns:
        int32 `(batch,)`, and float `(batch,)`: 1 where the probability is at least
        the threshold, else 0.
    """
    probabilities = ops.softmax(logits)
    sure = ops.cast(ops.max(probabilities, axis=-1) >= threshold, "float32")
    return ops.cast(ops.argmax(logits, axis=-1), "int32"), sure
