"""From a run's values to what its learner is made of."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from color_s4l import data, methods
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.networks import TRUNKS, Network, freezing
from color_s4l.networks.attention import attention
from color_s4l.settings import Run
from color_s4l.terms import Term
from color_s4l.training.given.initial import Initial
from color_s4l.training.learner import Learner, Plan, compile_learner
from color_s4l.training.schedules import schedule_of
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.colorized import colorized_images
from color_s4l.views.preprocessing import Preprocessing
from color_s4l.views.step import LABELED, UNLABELED, StepViews
from colorization.colorizer import Colorizer

# Labelled draws per unlabelled image of a method that reads none: as many as
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
    dataset: data.Data
    batches: data.StepBatches
    learner: Learner
    classifier: keras.Model
    colorizer: str | None


def split_of(run: Run, dataset: data.Data, folder: RunFolder) -> data.Split:
    """Reads the split of a run that goes on, or `--split_file`; or draws from `--seed`.

    Args:
        run: As given.
        dataset: The images.
        folder: The run's; may not exist yet.

    Returns:
        The split.

    Raises:
        InputError: The file is no split of these images, or the counts don't fit.
    """
    if run.resume and folder.split.exists():
        return data.read_split(folder.split, dataset)
    if run.split_file:
        return data.read_split(run.split_file, dataset)
    split = data.draw_split(
        dataset.labels,
        dataset.classes,
        run.labels,
        run.unlabeled,
        run.validation,
        run.seed,
    )
    if run.labeled_only:
        return dataclasses.replace(split, unlabeled=split.labeled)
    return split


def network_of(
    run: Run,
    terms: Sequence[Term],
    dataset: data.Data,
    initial: Initial | None = None,
) -> Network:
    """The network before its first step, with `--freeze_blocks` of its trunk frozen.

    Args:
        run: Resolved.
        terms: Whose heads it gets.
        dataset: Of which the images' shape and the number of classes are read.
        initial: The trunk's weights; None: drawn from Keras' global seed, as the
            heads' are.

    Returns:
        The network, built.

    Raises:
        InputError: The trunk does not take images of this size, has fewer blocks, or
            is another one than `initial` is of.
    """
    image_shape = dataset.images.shape[1:]
    # Without a value each trunk has the dropout that it was published with.
    given = {} if run.trunk_dropout is None else {"dropout": run.trunk_dropout}
    shared = run.devices > 1 and keras.backend.backend() == "tensorflow"
    trunk = TRUNKS[run.network](
        image_shape, width=run.width, **given, synchronized=shared
    )
    module = None
    if any(term.attention() for term in terms):
        module = attention(trunk.output_shape[1:], synchronized=shared)
    heads = methods.heads_of(terms, len(dataset.classes))
    network = Network(trunk, heads, run.dropout, module)
    network(np.zeros((1, *image_shape), "float32"))
    if initial:
        initial.give_to(network)
    freezing.freeze(trunk, run.freeze_blocks)
    return network


def learner_of(
    run: Run,
    network: Network,
    preprocessing: Preprocessing,
    terms: Sequence[Term],
    batches: data.StepBatches,
) -> Learner:
    """The learner, compiled, with its metrics.

    Args:
        run: Resolved.
        network: Built.
        preprocessing: Built.
        terms: Their sum is the loss.
        batches: Of the run.

    Returns:
        What `fit` trains.
    """
    views = StepViews(
        names=methods.views_of(terms),
        preprocessing=preprocessing,
        labeled=Augmentation(flip=run.hflip),
        unlabeled=Augmentation(),
    )
    plan = Plan(
        groups=batches.groups,
        epochs=run.epochs,
        steps_per_epoch=batches.steps_per_epoch,
        num_examples=len(batches.split.unlabeled),
        weight_decay=run.weight_decay,
        seed=run.seed,
    )
    learner = Learner(network, views, terms, plan)
    compile_learner(
        learner,
        schedule=schedule_of(run, batches.steps_per_epoch),
        jit_compile=run.jit_compile,
        steps_per_execution=steps_per_execution(run, batches.steps_per_epoch),
    )
    learner.build_metrics(batches.batch(0))
    return learner


def batches_of(
    run: Run,
    dataset: data.Data,
    split: data.Split,
    terms: Sequence[Term],
    colorizer: Colorizer | None,
    targets: np.ndarray | None = None,
) -> data.StepBatches:
    """The step batches.

    Args:
        run: Resolved.
        dataset: The images.
        split: Which of them are labelled and unlabelled.
        terms: Whose views are counted.
        colorizer: Colourises the unlabelled images now, once; None where no term
            reads colourised ones.
        targets: Classes that an earlier training gave the unlabelled images; None
            where no term reads them.

    Returns:
        The batches.
    """
    colorized = None
    if colorizer:
        unlabeled = data.subset(dataset.images, split.unlabeled)
        colorized = colorized_images(unlabeled, colorizer)
    shown = dataset.labels[split.labeled]
    return data.StepBatches(
        dataset.images,
        dataset.labels,
        split,
        run.batch_size,
        labeled_batch(run, terms),
        run.seed,
        colorized,
        data.class_weights(shown, dataset.classes) if run.balance else None,
        targets,
    )


def labeled_batch(run: Run, terms: Sequence[Term]) -> int:
    """Labelled images per step.

    Args:
        run: Its flag is the number, where it is given.
        terms: Otherwise as many as make both passes of one size: those that the
            unlabelled images have views, divided by the views of a labelled one.

    Returns:
        At least 1.
    """
    if run.labeled_batch is not None:
        return run.labeled_batch
    if not methods.copies_of(terms, LABELED):
        return run.batch_size  # which no term reads
    views = methods.copies_of(terms, UNLABELED) or BASELINE_DRAWS
    return run.batch_size * max(1, views // methods.copies_of(terms, LABELED))


def steps_per_execution(run: Run, steps: int) -> int:
    """The largest number up to `--steps_per_execution` that divides an epoch's steps.

    Keras would run over the end of the epoch otherwise, and take images of the next.

    Args:
        run: Its flag is the largest number allowed.
        steps: Of one epoch.

    Returns:
        At least 1.
    """
    wanted = min(run.steps_per_execution, steps)
    return next(number for number in range(wanted, 0, -1) if steps % number == 0)


def images_per_step(learner: Learner, batches: data.StepBatches) -> int:
    """Images that a step's views show: the labelled ones' and the unlabelled ones'.

    Each counts once, however often it goes through the trunk: further passes (ICT's
    second one, VAT's, those over mixtures) cost time and are not counted.
    """
    labeled = methods.copies_of(learner.terms, LABELED)
    unlabeled = methods.copies_of(learner.terms, UNLABELED)
    return batches.labeled_batch * labeled + batches.batch_size * unlabeled
