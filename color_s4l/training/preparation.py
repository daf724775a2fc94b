"""From a run's values to what its learner is made of."""

import dataclasses
import time

import keras
import numpy as np

from color_s4l import cache, data, methods
from color_s4l.config import Run
from color_s4l.errors import InputError, unknown
from color_s4l.files import write_atomically
from color_s4l.networks import TRUNKS, Network
from color_s4l.training.learner import Learner, Plan, compile_learner
from color_s4l.training.run_folder import RunFolder
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.colorized import colorized_images
from color_s4l.views.preprocessing import Preprocessing, whitening
from color_s4l.views.step import StepViews

# Whitening larger images would take a matrix of more than 190 MB.
LARGEST_WHITENED = 48
# Labelled draws per unlabelled image of a method without proxy views: as many as
# Color-S4L's, so that the baseline sees as many labelled images per step.
BASELINE_DRAWS = 7


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that a run is made of, before its first step.

    Attributes:
        run: With its defaults resolved.
        dataset: Its images.
        batches: Its step batches, with the split.
        learner: Compiled.
        classifier: Raw images to probabilities; shares the learner's weights.
        colorizer: One line on the colorizer, None where none is used.
    """

    run: Run
    dataset: data.Dataset
    batches: data.StepBatches
    learner: Learner
    classifier: keras.Model
    colorizer: str | None


def resolved(run: Run, dataset: data.Dataset) -> Run:
    """The run with the defaults that depend on the data set.

    Published: no ZCA and no flips on SVHN, dropout 0.5 after the ConvNet's poolings
    there. The built-in digits are treated like SVHN's: a flipped digit is another
    sign, and 1,397 images are too few to whiten 3,072 values.
    """
    svhn = run.dataset.startswith("svhn")
    digits = svhn or run.dataset == "digits"
    small = dataset.images.shape[1] <= LARGEST_WHITENED
    deep_dropout = 0.5 if svhn and run.network == "convnet" else 0.0
    return dataclasses.replace(
        run,
        zca=(small and not digits) if run.zca is None else run.zca,
        hflip=not digits if run.hflip is None else run.hflip,
        trunk_dropout=deep_dropout if run.trunk_dropout is None else run.trunk_dropout,
    )


def check(run: Run) -> None:
    """Refuses numbers that no run can have.

    Raises:
        InputError: One line that names the flag.
    """
    if run.network not in TRUNKS:
        raise unknown("network", run.network, TRUNKS)
    for name in ("epochs", "batch_size", "devices", "steps_per_execution"):
        if getattr(run, name) < 1:
            raise InputError(f"--{name}={getattr(run, name)}: expected at least 1.")
    for name in ("width", "learning_rate"):
        if not 0 < getattr(run, name) < float("inf"):
            raise InputError(f"--{name}={getattr(run, name)}: expected more than 0.")
    for name in ("seed", "weight_decay"):
        if not 0 <= getattr(run, name) < float("inf"):
            raise InputError(f"--{name}={getattr(run, name)}: expected 0 or more.")
    for name in ("dropout", "trunk_dropout"):
        if not 0 <= (getattr(run, name) or 0) < 1:
            raise InputError(f"--{name}={getattr(run, name)}: expected 0 <= p < 1.")
    if run.batch_size % run.devices:
        raise InputError(
            f"--batch_size={run.batch_size} can't be divided over "
            f"--devices={run.devices}."
        )


def split_of(run: Run, dataset: data.Dataset) -> data.Split:
    """Reads `--split_file`, or draws from `--seed`."""
    if run.split_file:
        return data.read_split(run.split_file, dataset)
    return data.draw_split(
        dataset.labels,
        dataset.classes,
        run.labels,
        run.unlabeled,
        run.validation,
        run.seed,
    )


def statistics_of(
    run: Run, dataset: data.Dataset, folder: RunFolder
) -> dict[str, np.ndarray]:
    """Mean and matrix of the whitening; empty without one.

    A resumed run takes up its own again, wherever it goes on.
    """
    if not run.zca:
        return {}
    if folder.statistics.exists():
        with np.load(folder.statistics, allow_pickle=False) as stored:
            return dict(stored)
    started = time.perf_counter()
    fitted = cache.cached(
        "whitening",
        [dataset.images],
        lambda: dict(zip(("mean", "matrix"), whitening(dataset.images), strict=True)),
    )
    print(f"whitening  ready after {time.perf_counter() - started:.1f} s", flush=True)
    write_atomically(folder.statistics, lambda file: np.savez(file, **fitted))
    return fitted


def preprocessing_of(
    run: Run, dataset: data.Dataset, statistics: dict[str, np.ndarray]
) -> Preprocessing:
    """The preprocessing layer with its statistics."""
    layer = Preprocessing(zca=run.zca)
    layer.build((None, *dataset.images.shape[1:]))
    if statistics:
        layer.set_statistics(**statistics)
    return layer


def network_of(run: Run, terms, dataset: data.Dataset) -> Network:
    """The untrained network, built."""
    image_shape = dataset.images.shape[1:]
    trunk = TRUNKS[run.network](
        image_shape,
        width=run.width,
        dropout=run.trunk_dropout,
        synchronized=run.devices > 1 and keras.backend.backend() == "tensorflow",
    )
    network = Network(trunk, methods.heads_of(terms, len(dataset.classes)), run.dropout)
    network(np.zeros((1, *image_shape), "float32"))
    return network


def learner_of(
    run: Run, network: Network, preprocessing: Preprocessing, terms, batches
) -> Learner:
    """The compiled learner."""
    views = StepViews(
        names=frozenset(view for term in terms for view in term.views()),
        preprocessing=preprocessing,
        labeled=Augmentation(flip=run.hflip),
        unlabeled=Augmentation(),
    )
    plan = Plan(
        batch_size=run.batch_size,
        epochs=run.epochs,
        steps_per_epoch=batches.steps_per_epoch,
        num_examples=len(batches.split.unlabeled),
        weight_decay=run.weight_decay,
        seed=run.seed,
    )
    learner = Learner(network, views, terms, plan)
    compile_learner(
        learner,
        learning_rate=run.learning_rate,
        jit_compile=run.jit_compile,
        steps_per_execution=run.steps_per_execution,
    )
    learner.build_metrics(batches.batch(0))
    return learner


def batches_of(
    run: Run, dataset: data.Dataset, split: data.Split, terms, colorizer
) -> data.StepBatches:
    """The step batches; as many labelled draws as an unlabelled image has views."""
    colorized = None
    if colorizer:
        colorized = colorized_images(dataset.images[split.unlabeled], colorizer)
    return data.StepBatches(
        dataset.images,
        dataset.labels,
        split,
        run.batch_size,
        methods.proxy_views(terms) or BASELINE_DRAWS,
        run.seed,
        colorized,
    )


def images_per_step(learner: Learner, batches: data.StepBatches) -> int:
    """Images that go through the trunk in one step, labelled and views."""
    views = methods.proxy_views(learner.terms)
    return batches.batch_size * (batches.draws + views)
