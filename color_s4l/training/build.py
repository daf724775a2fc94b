"""Builds a compiled learner from resolved settings and inputs."""

import dataclasses
import logging
import math
import pathlib
import time
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from color_s4l import data, methods
from color_s4l.artifacts import cache
from color_s4l.artifacts.files import read_arrays, write_arrays
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.data import Data, StepBatches
from color_s4l.errors import InputError
from color_s4l.networks import TRUNKS, Network
from color_s4l.networks.structure import enable_lora, freeze
from color_s4l.settings import (
    ModelSettings,
    OptimizationSettings,
    RuntimeSettings,
    Settings,
    StepSettings,
)
from color_s4l.terms.term import Term
from color_s4l.training.inputs import InitialWeights, Inputs, PretrainedWeights
from color_s4l.training.learner import Learner, Plan
from color_s4l.training.optimizers import create_optimizer
from color_s4l.training.schedules import Schedule
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.colorized import colorized_images
from color_s4l.views.preprocessing import (
    Preprocessing,
    channel_statistics,
    whitening,
)
from color_s4l.views.step import LABELED, UNLABELED, StepViews
from colorization.colorizer import Colorizer

logger = logging.getLogger(__name__)

# Largest number of training images to which layers and batch statistics are fitted, and
# the batch size for batch statistics.
ADAPTED_IMAGES, ADAPTED_BATCH = 5000, 128
# Largest number of bytes of the images to which the statistics of the preprocessing are
# fitted: enough for all 73,257 images of SVHN, or for 9,700 images of 96 px. It is a
# constant, so that the statistics do not depend on the machine.
FITTED_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The parts of a run before its first step.

    Attributes:
        settings: The resolved settings.
        data: The images.
        batches: The step batches, with the split.
        learner: The compiled learner.
        classifier: Model from raw images to probabilities; it shares the learner's
            weights.
        colorizer: One line about the colorizer; None if there is none.
    """

    settings: Settings
    data: Data
    batches: StepBatches
    learner: Learner
    classifier: keras.Model
    colorizer: str | None


def build_network(
    settings: ModelSettings,
    terms: Sequence[Term],
    image_shape: tuple[int, ...],
    num_classes: int,
    *,
    synchronized: bool = False,
    initial: InitialWeights | PretrainedWeights | None = None,
) -> Network:
    """Returns the network of a run before its first step.

    Blocks of the trunk are frozen, or adapters added, if the settings say so.

    Args:
        settings: Trunk, width, dropout, frozen blocks and adapters.
        terms: The terms; the network gets their heads.
        image_shape: `(height, width, channels)`.
        num_classes: Number of classes.
        synchronized: Whether batch statistics are shared by TensorFlow replicas.
        initial: Weights to start from; None: random weights. Call
            `data.streams.seed_initialisers` first to make them reproducible.

    Raises:
        InputError: The trunk does not accept images of this size, has fewer blocks
            than are frozen, or has no layer for adapters; or `initial` cannot be used
            (see `assign_initial`).
    """
    # None: the trunk's own default, the published dropout.
    dropout = settings.trunk_dropout
    given: dict[str, float] = {} if dropout is None else {"dropout": dropout}
    trunk = TRUNKS[settings.network](
        image_shape, width=settings.width, **given, synchronized=synchronized
    )
    heads = methods.heads_of(terms, num_classes)
    network = Network(trunk, heads, settings.dropout, synchronized=synchronized)
    network(np.zeros((1, *image_shape), "float32"))
    if initial:
        assign_initial(network, initial, settings.normalization)
    freeze(trunk, settings.freeze_blocks)
    if settings.lora_rank:
        enable_lora(trunk, settings.lora_rank)
    return network


def assign_initial(
    network: Network, initial: InitialWeights | PretrainedWeights, normalization: str
) -> None:
    """Assigns the weights to start from to a built network.

    Args:
        network: A built network.
        initial: The weights.
        normalization: The setting `normalization` of the run.

    Raises:
        InputError: The weights cannot be loaded or do not fit the network (see
            `initial.assign_to`); or they were trained with the normalisation
            "channels", and the run has another.
    """
    initial.assign_to(network)
    if initial.statistics and normalization != "channels":
        raise InputError(
            f"`init_from`={initial.source} was trained with "
            "`normalization`=channels: set it for this run too."
        )


def is_synchronized(devices: int) -> bool:
    """Returns whether batch normalisation must share its statistics explicitly.

    On JAX this is not needed: the step computes the statistics of the whole batch, on
    any number of devices.
    """
    return devices > 1 and keras.backend.backend() == "tensorflow"


def build_batches(
    settings: StepSettings, inputs: Inputs, colorizer: Colorizer | None
) -> data.StepBatches:
    """Returns the step batches.

    Args:
        settings: Batch sizes, class balance and seed.
        inputs: Images, split and pseudo-labels.
        colorizer: Used once, in this function, to colourise the unlabelled images; None
            if no term reads colourised images.
    """
    images, split = inputs.data, inputs.split
    colorized = None
    if colorizer:
        unlabeled = data.subset(images.images, split.unlabeled)
        colorized = colorized_images(unlabeled, colorizer)
    weights = None
    if settings.balance:
        weights = data.class_weights(images.labels[split.labeled], images.classes)
    return data.StepBatches(
        images.images,
        images.labels,
        split,
        settings.batch_size,
        settings.labeled_batch,
        settings.seed,
        colorized,
        weights,
        inputs.targets,
        alternating=settings.hflip and settings.flip_order == "alternating",
    )


def preprocessing_statistics(
    settings: ModelSettings, inputs: Inputs, directory: RunDirectory
) -> dict[str, np.ndarray] | None:
    """Returns the statistics of the preprocessing, fitted once and kept on disk.

    They are fitted on the training images except the validation images, or come with
    the initial weights. If the images have more than `FITTED_BYTES` bytes, a sample of
    them is used. A resumed run reads the statistics from its run directory.

    Args:
        settings: Normalisation and whitening.
        inputs: Images and split.
        directory: The run directory; the statistics are written to it.

    Returns:
        For whitening: `mean`, float32 `(d,)`, and `matrix`, float32 `(d, d)`, where d
        is the number of values of an image. For the normalisation "channels": `mean`
        and `deviation`, float32 `(3,)`. None if neither is used.
    """
    if not settings.zca and settings.normalization != "channels":
        return None
    if directory.statistics.exists():
        try:
            return _read_statistics(directory.statistics, settings.zca, inputs.data)
        except (OSError, ValueError) as error:
            logger.warning("%s is computed again: %s", directory.statistics, error)
    initial = inputs.files.initial
    if initial and initial.statistics:
        # The trunk's first layer (in airbench a frozen whitening of patches) and its
        # batch statistics were fitted to images normalised with these statistics. With
        # statistics of the new images, the trunk would compute other features than it
        # learned. There is one value per colour channel, so the image size may differ.
        write_arrays(directory.statistics, initial.statistics)
        return initial.statistics
    started = time.perf_counter()
    name, compute = ("channels", channel_statistics)
    if settings.zca:
        name, compute = ("whitening", whitening)
    images = inputs.data.images
    sample = _fitting_sample(inputs, FITTED_BYTES // math.prod(images.shape[1:]))
    if len(sample) < len(images) or isinstance(images, data.LazyImages):
        images = images[sample]

    def fit() -> dict[str, np.ndarray]:
        count, size = len(images), images.shape[1]
        logger.info("%-10s fitting on %s images of %s px", name, f"{count:,}", size)
        return compute(images)

    fitted = cache.cached(name, [data.content(images)], fit)
    seconds = time.perf_counter() - started
    logger.info("%-10s ready after %.1f s", name, seconds)
    write_arrays(directory.statistics, fitted)
    return fitted


def _read_statistics(path: pathlib.Path, zca: bool, images: Data) -> dict:
    """Reads the statistics.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, or the arrays do not fit the images.
    """
    stored = read_arrays(path)
    size = math.prod(images.images.shape[1:])
    wanted: dict[str, tuple[int, ...]] = {"mean": (3,), "deviation": (3,)}
    if zca:
        wanted = {"mean": (size,), "matrix": (size, size)}
    found = {name: array.shape for name, array in stored.items()}
    if found != wanted:
        raise ValueError(f"expected arrays {wanted}, found {found}")
    return stored


def _fitting_images(inputs: Inputs) -> np.ndarray:
    """Returns the indices of the images to which layers may be fitted.

    Validation images represent unknown images and are left out.
    """
    return np.setdiff1d(np.arange(len(inputs.data.images)), inputs.split.validation)


def _fitting_sample(inputs: Inputs, largest: int = ADAPTED_IMAGES) -> np.ndarray:
    """Returns up to `largest` indices of `_fitting_images`, evenly spaced."""
    rest = _fitting_images(inputs)
    return rest[:: math.ceil(len(rest) / largest)]


def build_preprocessing(
    settings: ModelSettings,
    image_shape: tuple[int, ...],
    statistics: dict[str, np.ndarray] | None = None,
) -> Preprocessing:
    """Returns the preprocessing layer, built.

    Args:
        settings: Normalisation and whitening.
        image_shape: `(height, width, channels)`.
        statistics: Result of `preprocessing_statistics`; None: the layer keeps its
            initial values.
    """
    layer = Preprocessing(settings.zca, settings.normalization)
    layer.build((None, *image_shape))
    if statistics:
        layer.set_statistics(statistics)
    return layer


def build_learner(
    network: Network,
    preprocessing: Preprocessing,
    terms: Sequence[Term],
    batches: data.StepBatches,
    step: StepSettings,
    optimization: OptimizationSettings,
    runtime: RuntimeSettings,
) -> Learner:
    """Returns the compiled learner, with its metrics.

    By default the optimizer is SGD with Nesterov momentum 0.9 (Tran 2019).

    Args:
        network: A built network.
        preprocessing: A built layer.
        terms: The terms; the loss is their sum.
        batches: The step batches of the run.
        step: The settings of the augmentation, and the seed.
        optimization: Epochs, learning rate, schedule and weight decay.
        runtime: Settings for the compilation of the step.
    """
    area = step.crop_area if step.crop == "random_resized" else None
    views = StepViews(
        names=methods.views_of(terms),
        preprocessing=preprocessing,
        labeled=Augmentation(step.shift, step.hflip, step.noise, area),
        unlabeled=Augmentation(step.shift, step.hflip_unlabeled, step.noise, area),
    )
    plan = Plan(
        groups=batches.groups,
        epochs=optimization.epochs,
        steps_per_epoch=batches.steps_per_epoch,
        num_examples=len(batches.split.unlabeled),
        # AdamW has a weight decay of its own.
        weight_decay=optimization.weight_decay
        if optimization.optimizer != "adamw"
        else 0.0,
        # The result of XLA's matrix product, which whitening uses, depends on the
        # number of threads. A resumed run would differ from an uninterrupted run.
        compiled_views=not preprocessing.zca,
        seed=step.seed,
    )
    learner = Learner(network, views, terms, plan)
    schedule = Schedule(optimization, batches.steps_per_epoch)
    jit_compile = "auto" if runtime.jit_compile is None else runtime.jit_compile
    learner.compile(
        optimizer=create_optimizer(
            optimization, schedule, learner.trainable_variables, network.trunk
        ),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution(
            runtime.steps_per_execution, batches.steps_per_epoch
        ),
    )
    learner.build_metrics(batches.batch(0))
    return learner


def adapt(trunk: keras.Model, preprocessing: Preprocessing, inputs: Inputs) -> None:
    """Fits the layers of a trunk that have a method `adapt`, from input to output.

    Args:
        trunk: A built trunk. Layers without `adapt` are not changed.
        preprocessing: Applied to the images first.
        inputs: Up to 5,000 of the training images are used, at equal distances in the
            data set; no validation images.
    """
    fitted = [layer for layer in trunk.layers if hasattr(layer, "adapt")]
    if not fitted:
        return
    sample = preprocessing(inputs.data.images[_fitting_sample(inputs)])
    for layer in fitted:
        before = keras.Model(trunk.inputs[0], layer.input)
        layer.adapt(ops.convert_to_numpy(before(sample)))


def reestimate_statistics(
    network: Network, preprocessing: Preprocessing, inputs: Inputs
) -> None:
    """Replaces the moving batch statistics by those of images without augmentation.

    Args:
        network: The trained network.
        preprocessing: Applied to the images first.
        inputs: The same training images are used as in `adapt`, in full batches.
    """
    chosen = _fitting_sample(inputs)
    size = min(ADAPTED_BATCH, len(chosen))
    whole = chosen[: len(chosen) // size * size].reshape(-1, size)
    network.reestimate_statistics(
        preprocessing(inputs.data.images[batch]) for batch in whole
    )


def steps_per_execution(wanted: int, steps: int) -> int:
    """Returns the largest number up to `wanted` that divides the steps of an epoch.

    If the number did not divide the steps, Keras would run past the end of the epoch
    and read images of the next epoch.

    Args:
        wanted: Largest number allowed, at least 1.
        steps: Steps per epoch.
    """
    numbers = range(min(wanted, steps), 0, -1)
    return next(number for number in numbers if steps % number == 0)


def images_per_step(terms: Sequence[Term], batches: data.StepBatches) -> int:
    """Returns the number of images in all views of one step.

    Each view counts once, even if several passes read it. For example, the additional
    passes of ICT, VAT and MixMatch are not counted.
    """
    labeled = methods.copies_of(terms, LABELED)
    unlabeled = methods.copies_of(terms, UNLABELED)
    return batches.labeled_batch * labeled + batches.batch_size * unlabeled
