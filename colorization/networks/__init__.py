"""The colorization networks by name. A new one is one file and one line."""

from color_s4l.errors import unknown
from colorization.networks import encoder_decoder, inception_fusion
from colorization.networks.parts import Parts, Shape

NETWORKS = {
    "encoder_decoder": encoder_decoder.build,
    "inception_fusion": inception_fusion.build,
}


def build(name: str, shape: Shape) -> Parts:
    """Builds a network by its name.

    Args:
        name: A key of `NETWORKS`.
        shape: Its sizes.

    Returns:
        The network's parts, with fresh weights.

    Raises:
        InputError: There is no such network, or it cannot be built so.
    """
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    return NETWORKS[name](shape)
