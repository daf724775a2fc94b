"""Colorization as a proxy task: hue and chroma of grey images at some positions.

Larsson et al. 2017 (https://arxiv.org/abs/1703.04044), with the constants of the
published code for histograms (gustavla/autocolorize, gustavla/self-supervision). No
colorizer is needed: the trunk itself learns to predict the colours.
"""

import dataclasses
from typing import Annotated

import keras
from keras import layers, ops
from keras.random import SeedGenerator

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast, Below, Range
from color_s4l.networks import hypercolumns
from color_s4l.networks.network import Network, Readout
from color_s4l.registry import register_term
from color_s4l.terms.passes import Batch, BnStats, moving_statistics
from color_s4l.terms.term import Outcome, Progress, Shapes, State, Term
from color_s4l.views.grey import COLORS, GREY
from colorization import hue_chroma

HEAD = "colorization"
# Standard deviation of the head's first kernel, as published.
DEVIATION = 1e-4
Odd = Annotated[int, Range("an odd number, at least 1", lambda n: n > 0 and n % 2)]


@dataclasses.dataclass(frozen=True)
class Histograms(Readout):
    """A head with one hidden layer and the logits of two histograms.

    Attributes:
        units: Size of the hidden layer.
        bins: Number of bins of each histogram.
        dropout: Drop rate of the hidden layer.
    """

    units: int
    bins: int
    dropout: float

    def build(self, channels: int) -> keras.Model:
        """Builds a model from hypercolumns to the logits of hue and chroma.

        Args:
            channels: Number of channels of a hypercolumn.

        Returns:
            A model from `(batch, sites, channels)` to two outputs `(batch, sites,
            bins)`.
        """
        inputs = keras.Input((None, channels))
        normal = keras.initializers.RandomNormal(stddev=DEVIATION)
        hidden = layers.Dense(
            self.units, activation="relu", kernel_initializer=normal, name="hidden"
        )(inputs)
        hidden = layers.Dropout(self.dropout, name="dropout")(hidden)
        logits = [layers.Dense(self.bins, name=n)(hidden) for n in ("hue", "chroma")]
        return keras.Model(inputs, logits, name=HEAD)


@register_term("colorization", tested_with={"bins": 8, "units": 16, "window": 3})
@dataclasses.dataclass(frozen=True)
class Colorization(Term):
    """Divergence of predicted histograms of hue and chroma, at random positions.

    The trunk sees the image in grey. Its feature maps of all resolutions are read at
    the positions (`networks.hypercolumns`); one hidden layer predicts the histograms.

    Attributes:
        weight: Factor on the loss; 1.
        sites: Number of positions in each image; 128.
        margin: Width of the border without positions, as a share of the image's side;
            1/16, which is 2 of 32 pixels. Published: 96 of 352 and 32 of 224 pixels.
        bins: Number of bins of hue and of chroma; 32.
        hue_weight: Factor on the divergence of hue; 5.
        window: Side in pixels of the window of a target histogram; 1 as in the later
            published code. The earlier code: 7.
        units: Size of the hidden layer; 1,024.
        dropout: Drop rate of the hidden layer; 0.5.
        bn_stats: "both": the pass over grey images updates the moving statistics;
            "supervised": it does not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    sites: Annotated[int, AtLeast(1)] = 128
    margin: Annotated[float, Below(0.5)] = 1 / 16
    bins: Annotated[int, AtLeast(2)] = hue_chroma.BINS
    hue_weight: Annotated[float, AtLeast(0)] = hue_chroma.HUE_WEIGHT
    window: Odd = 1
    units: Annotated[int, AtLeast(1)] = 1024
    dropout: Annotated[float, Below(1)] = 0.5
    bn_stats: BnStats = "both"

    reads = (GREY, COLORS)

    def heads(self, num_classes: int) -> dict[str, Readout]:
        """Returns the head for the two histograms."""
        return {HEAD: Histograms(self.units, self.bins, self.dropout)}

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> Tensor:
        """Draws the positions: rows and columns of pixels.

        Returns:
            int32 `(groups, images per group, sites, 2)`.
        """
        groups, images, side, *_ = shapes["unlabeled"]
        margin = int(self.margin * side)
        shape = (groups, images, self.sites, 2)
        return keras.random.randint(shape, margin, side - margin, "int32", seed)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `colorization_loss`, in nats."""
        images, colors = batch[GREY], batch[COLORS]
        sites = ops.reshape(batch["draws"][self], (-1, self.sites, 2))
        sites = ops.cast(sites, "float32")
        with moving_statistics(network, self.bn_stats):
            maps = hypercolumns.maps_of(network.stages, images, training=True)
        columns = hypercolumns.columns(maps, sites, images.shape[1])
        logits = network.readouts[HEAD](columns, training=True)
        known = hypercolumns.sample(colors, sites)
        hue, chroma = (
            (
                self._targets(colors[..., channel], known[..., channel], sites),
                ops.cast(found, "float32"),
            )
            for channel, found in enumerate(logits)
        )
        losses = hue_chroma.site_losses(
            hue, chroma, known[..., 1], known[..., 2], self.hue_weight
        )
        return Outcome(
            terms={"colorization_loss": self.weight * ops.mean(losses)}, watch={}
        )

    def _targets(self, values: Tensor, known: Tensor, sites: Tensor) -> Tensor:
        """Returns the histograms at the sites, float32 `(batch, sites, bins)`.

        Args:
            values: Hue or chroma of all pixels, `(batch, height, width)`.
            known: Hue or chroma at the sites, `(batch, sites)`.
            sites: Rows and columns, float32 `(batch, sites, 2)`.
        """
        if self.window == 1:  # the other pixels are not needed
            return hue_chroma.histograms(known, self.bins)
        maps = hue_chroma.histograms(values, self.bins, self.window)
        return hypercolumns.sample(maps, sites)
