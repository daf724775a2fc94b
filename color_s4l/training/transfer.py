"""Training on a target data set: several labels per image, or a class for each pixel.

The transfer of Larsson et al. 2017 (https://arxiv.org/abs/1703.04044, and the published
code gustavla/self-supervision): a trunk that was trained without labels gets a new head
and is fine-tuned. Differs from the published code: one trunk for all networks, Keras'
batch normalisation instead of folded statistics, images of one size with crops or flips
instead of random scales, and no clipping of gradients.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from color_s4l import backend
from color_s4l.backend import Tensor
from color_s4l.data.streams import Purpose, Stream, seed_initialisers
from color_s4l.data.transfer import IGNORED, Part, Target
from color_s4l.networks import TRUNKS, Network, hypercolumns
from color_s4l.networks.network import CLASSES, Readout
from color_s4l.networks.structure import freeze
from color_s4l.settings import ModelSettings, OptimizationSettings
from color_s4l.terms import losses
from color_s4l.training import build
from color_s4l.training.inputs import InitialWeights, PretrainedWeights
from color_s4l.training.optimizers import create_optimizer
from color_s4l.training.schedules import Schedule
from color_s4l.views import augmentation
from color_s4l.views.preprocessing import Preprocessing, channel_statistics

# Name of the head that predicts the classes of pixels.
SEGMENTATION = "segmentation"
# Positions per image and step, and size of the hidden layer of the head (published).
SITES, UNITS = 128, 1024
# Distance in pixels between the positions of a predicted segmentation (published).
STRIDE = 4
# Number of recalls at which VOC 2007 reads the precision: 0, 0.1, ..., 1.
RECALLS = 11


@dataclasses.dataclass(frozen=True)
class PixelClasses(Readout):
    """A head with one hidden layer and the logits of the classes of a pixel."""

    classes: int
    dropout: float

    def build(self, channels: int) -> keras.Model:
        """Builds the head; the first kernel has small initial values, as published."""
        columns = keras.Input((None, channels))
        hidden = layers.Dense(
            UNITS,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=1e-4),
        )(columns)
        hidden = layers.Dropout(self.dropout)(hidden)
        logits = layers.Dense(self.classes, dtype="float32")(hidden)
        return keras.Model(columns, logits, name=SEGMENTATION)


class Learner(keras.Model):
    """A network with its preprocessing and the augmentation of training images.

    Args:
        network: A built network.
        preprocessing: A built layer.
        weight_decay: Factor on the sum of squares of the kernels in the loss.
        area: Smallest area of a random crop, as a share of the image's area; None: no
            crops. Not used for segmentation, whose images are only flipped (`Batches`).
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        network: Network,
        preprocessing: Preprocessing,
        weight_decay: float,
        area: float | None,
        seed: int,
    ):
        super().__init__()
        self.network, self.preprocessing = network, preprocessing
        self.weight_decay = weight_decay
        self.augmentation = augmentation.Augmentation(0, True, 0.0, area)
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Returns logits, `(batch, classes)` or `(batch, sites, classes)`.

        Args:
            inputs: "images", uint8 `(batch, size, size, 3)`; for segmentation also
                "sites", rows and columns in pixels, `(batch, sites, 2)`.
            training: Whether to augment images and to use batch statistics and dropout.
        """
        images = self.preprocessing(inputs["images"])
        if training:
            kernels = self.network.kernels
            squares = sum(ops.sum(ops.square(kernel)) for kernel in kernels)
            self.add_loss(self.weight_decay * squares)
        if "sites" not in inputs:
            if training:
                draws = self.augmentation.draw(self.draws, images.shape)
                images = augmentation.apply(images, draws)
            return self.network(images, training=training)[CLASSES]
        trained = training and self.network.trunk.trainable
        maps = hypercolumns.maps_of(self.network.stages, images, training=trained)
        columns = hypercolumns.columns(maps, inputs["sites"], images.shape[1])
        return self.network.readouts[SEGMENTATION](columns, training=training)


class Batches(keras.utils.PyDataset):
    """The batches of all steps; each is a function of (seed, step).

    Args:
        part: The training images.
        batch_size: Images per step.
        steps: Number of steps.
        seed: Seed of the order, the flips and the sites.
    """

    def __init__(self, part: Part, batch_size: int, steps: int, seed: int):
        super().__init__(workers=1)
        self.part, self.batch_size = part, batch_size
        self.steps, self.seed = steps, seed
        self.order = Stream(len(part.images), seed, Purpose.LABELED_BATCHES)

    @property
    def num_batches(self) -> int:
        """Number of steps."""
        return self.steps

    def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns the inputs of `Learner` and the targets of one step.

        For segmentation, half of the images are mirrored, with their masks, and the
        targets are the classes at random sites.
        """
        size = self.batch_size
        chosen = self.order.take(step * size, size)
        images, targets = self.part.images[chosen], self.part.targets[chosen]
        if not self.part.has_masks:
            return {"images": images}, targets.astype("float32")
        draws = np.random.default_rng([self.seed, step])
        mirrored = draws.random(size) < 0.5
        for array in (images, targets):  # copies, because `chosen` is an array
            array[mirrored] = array[mirrored, :, ::-1]
        sites = draws.integers(images.shape[1], size=(size, SITES, 2))
        rows = np.arange(size)[:, None]
        found = targets[rows, sites[..., 0], sites[..., 1]]
        inputs = {"images": images, "sites": sites.astype("float32")}
        return inputs, found.astype("float32")


def train(
    target: Target,
    model: ModelSettings,
    optimization: OptimizationSettings,
    *,
    batch_size: int,
    crop_area: float,
    seed: int,
    initial: InitialWeights | PretrainedWeights | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Learner:
    """Trains a network with a new head on the training images.

    Args:
        target: The data set.
        model: The network; `dropout` is the rate in the new head.
        optimization: Epochs, learning rate, schedule and weight decay.
        batch_size: Images per step, at most as many as there are training images.
        crop_area: Smallest area of a random crop; not used for segmentation.
        seed: Seed of the weights and of all random draws.
        initial: Weights of the trunk; None: random weights.
        callbacks: Further Keras callbacks.

    Returns:
        The trained model.

    Raises:
        InputError: The trunk does not accept images of this size, or has fewer blocks
            than are frozen; or `initial` cannot be used (see `build.assign_initial`).
    """
    seed_initialisers(seed)
    part, classes = target.training, len(target.classes)
    shape = part.images.shape[1:]
    head: dict[str, int | Readout] = {CLASSES: classes}
    if part.has_masks:
        head = {SEGMENTATION: PixelClasses(classes, model.dropout)}
    trunk = TRUNKS[model.network](shape, width=model.width)
    network = Network(trunk, head, model.dropout)
    network(np.zeros((1, *shape), "float32"))
    if initial:
        build.assign_initial(network, initial, model.normalization)
    freeze(trunk, model.freeze_blocks)
    statistics = initial.statistics if initial else None
    if model.normalization == "channels" and statistics is None:
        statistics = channel_statistics(part.images)
    learner = Learner(
        network,
        build.build_preprocessing(model, shape, statistics),
        optimization.weight_decay,
        None if part.has_masks else crop_area,
        seed,
    )
    steps = len(part.images) // batch_size
    batches = Batches(part, batch_size, optimization.epochs * steps, seed)
    learner(batches[0][0])
    learner.compile(
        optimizer=create_optimizer(
            optimization,
            Schedule(optimization, steps),
            learner.trainable_variables,
            trunk,
        ),
        loss=losses.pixel_entropy if part.has_masks else losses.binary_entropy,
    )
    with backend.fed(batches) as data:
        learner.fit(
            data,
            epochs=optimization.epochs,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks],
        )
    return learner


def predict_labels(learner: Learner, part: Part, batch_size: int) -> np.ndarray:
    """Returns the probability of each label, float32 `(n, classes)`.

    It is the mean over the image and its left-right flip. Differs from the published
    code, which averages over ten random crops.
    """
    found = []
    for start in range(0, len(part.images), batch_size):
        images = part.images[start : start + batch_size]
        logits = [
            learner({"images": view}) for view in (images, images[:, :, ::-1].copy())
        ]
        found.append(sum(ops.convert_to_numpy(ops.sigmoid(x)) for x in logits) / 2)
    return np.concatenate(found)


def predict_masks(learner: Learner, part: Part, batch_size: int) -> np.ndarray:
    """Returns the class of each pixel, uint8 `(n, size, size)`.

    The probabilities are computed at every fourth row and column, as published, and
    enlarged bilinearly.
    """
    side = part.images.shape[1]
    lines = np.arange(STRIDE // 2, side, STRIDE)
    sites = np.stack(np.meshgrid(lines, lines, indexing="ij"), axis=-1).reshape(-1, 2)
    found = []
    for start in range(0, len(part.images), batch_size):
        images = part.images[start : start + batch_size]
        grid = np.broadcast_to(sites, (len(images), *sites.shape)).astype("float32")
        shares = ops.softmax(learner({"images": images, "sites": grid}))
        shares = ops.reshape(shares, (len(images), len(lines), len(lines), -1))
        enlarged = ops.image.resize(shares, (side, side), data_format="channels_last")
        found.append(ops.convert_to_numpy(ops.argmax(enlarged, -1)).astype(np.uint8))
    return np.concatenate(found)


def average_precisions(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the average precision of each class as VOC 2007 defines it.

    For each of the recalls 0, 0.1, ..., 1, the largest precision at this or a higher
    recall is computed; the result is the mean of these eleven precisions (Everingham et
    al. 2010, https://doi.org/10.1007/s11263-009-0275-4, equation 1). Of images with
    equal scores, the negative ones come first.

    Args:
        targets: `(n, classes)`: 1, 0, or `IGNORED` for images that are left out.
        scores: Float `(n, classes)`.

    Returns:
        Float64 `(classes,)` in [0, 1]; NaN for a class without positive images.
    """
    found = []
    for truth, score in zip(targets.T, scores.T, strict=True):
        known = truth != IGNORED
        truth, score = truth[known], score[known]
        ranked = truth[np.lexsort((truth, -score))] == 1
        if not ranked.any():
            found.append(np.nan)
            continue
        right = np.cumsum(ranked)
        recall, precision = right / right[-1], right / np.arange(1, len(ranked) + 1)
        # 1e-12: a recall of 3 / 10 counts as 0.3.
        best = [
            precision[recall >= level - 1e-12].max()
            for level in np.linspace(0, 1, RECALLS)
        ]
        found.append(np.mean(best))
    return np.array(found)


def intersections(targets: np.ndarray, masks: np.ndarray, classes: int) -> np.ndarray:
    """Returns the intersection over union of each class over all pixels.

    Args:
        targets: True classes of pixels, or `IGNORED`, any shape.
        masks: Predicted classes, same shape.
        classes: Number of classes.

    Returns:
        Float64 `(classes,)` in [0, 1]; NaN for a class that is neither true nor
        predicted anywhere. The mean is the mIU.
    """
    known = targets != IGNORED
    pairs = targets[known].astype(np.int64) * classes + masks[known]
    matrix = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    with np.errstate(invalid="ignore"):
        return np.diag(matrix) / union
