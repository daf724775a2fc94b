"""A run from its values to its folder: prepare, train, evaluate, save."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras

from color_s4l import data, evaluation, methods, origin
from color_s4l.config import Run
from color_s4l.errors import InputError
from color_s4l.networks import Network, inference_model
from color_s4l.randomness import seed_initialisers
from color_s4l.terms import Term
from color_s4l.training import (
    callbacks,
    checkpoints,
    colors,
    fitting,
    preparation,
    results,
    values,
)
from color_s4l.training.backend import backend
from color_s4l.training.feed import Feed
from color_s4l.training.run_folder import (
    RunFolder,
    check_folder,
    make_folder,
    read_config,
    read_result,
    write_config,
)
from color_s4l.views.step import UNLABELED
from colorization import saving
from colorization.colorizer import Colorizer


def fit(run: Run) -> dict:
    """Trains a classifier and writes the run folder.

    Args:
        run: What to do.

    Returns:
        The content of result.json. A run that is complete is not run again.

    Raises:
        InputError: A value does not fit, the folder exists, the loss is not finite.
    """
    if run.deterministic:
        backend.make_deterministic()  # before the backend starts
    values.check(run)
    terms = methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    folder = check_folder(run, keras.backend.backend())
    if folder.result.exists():
        print(f"complete   {folder.path} holds the result already")
        return read_result(folder)
    # Before anything is computed: a running backend can't be given more devices.
    scope = backend.distributed(run.devices)
    colorizer = None
    if run.colorizer and colors.needed(terms):
        colorizer = saving.load(run.colorizer)
    print(f"reading    {run.dataset}", flush=True)
    dataset = data.load(run.dataset, run.data_dir, run.image_size)
    split = preparation.split_of(run, dataset, folder)
    prepared = _prepare(run, terms, dataset, split, colorizer, folder, scope)
    with scope(), _precision(run.dtype_policy):
        _train(prepared, folder)
        result, probabilities = results.measure(prepared, folder)
    with _precision(run.dtype_policy):
        results.write(prepared, result, probabilities, folder)
    return result


def _prepare(
    run: Run,
    terms: Sequence[Term],
    dataset: data.Dataset,
    split: data.Split,
    colorizer: Colorizer | None,
    folder: RunFolder,
    scope: Callable[[], contextlib.AbstractContextManager],
) -> preparation.Prepared:
    """Says what is going to be done, makes the folder, and all that training needs."""
    full = values.resolved(run, dataset)
    seed_initialisers(run.seed)
    with scope(), _precision(run.dtype_policy):
        network = preparation.network_of(full, terms, dataset)
    _announce(full, dataset, split, terms, network, folder)
    make_folder(folder)
    _write_beginning(run, full, dataset, split, colorizer, folder)
    if colors.needed(terms):
        colorizer = colorizer or colors.own_colorizer(full, dataset, split, folder)
    batches = preparation.batches_of(full, dataset, split, terms, colorizer)
    statistics = fitting.statistics_of(full, dataset, split, folder)
    with scope(), _precision(run.dtype_policy):
        preprocessing = fitting.preprocessing_of(full, dataset, statistics)
        return preparation.Prepared(
            full,
            dataset,
            batches,
            preparation.learner_of(full, network, preprocessing, terms, batches),
            inference_model(network, preprocessing),
            colors.described(colorizer) if colorizer else None,
        )


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _announce(
    run: Run,
    dataset: data.Dataset,
    split: data.Split,
    terms,
    network: Network,
    folder: RunFolder,
) -> None:
    """Says what is going to be done, before it is done."""
    size = dataset.images.shape[1]
    steps = data.steps_per_epoch(len(split.unlabeled), run.batch_size)
    views = methods.copies_of(terms, UNLABELED)
    draws = preparation.labeled_batch(run, terms)
    names = " + ".join(type(term).__name__ for term in terms)
    lines = {
        "method": f"{run.method} = {names}",
        "images": f"{dataset.name}, {size} px, {len(dataset.classes)} classes: "
        f"{len(dataset.images):,} to train on, {len(dataset.test_images):,} to test on",
        "labels": f"{len(split.labeled):,} labelled, "
        f"{len(split.unlabeled):,} unlabelled, {len(split.validation):,} held out",
        "network": f"{run.network}, width {run.width:g}, "
        f"{network.num_parameters:,} parameters",
        "steps": f"{run.epochs} epochs x {steps:,}; each {draws} labelled images and "
        f"{run.batch_size * views} views of {run.batch_size} unlabelled ones",
        "devices": f"{run.devices} x {backend.device_names()[0]}, "
        f"{keras.backend.backend()}, {run.dtype_policy}",
        "results": str(folder.path),
    }
    for name, text in lines.items():
        print(f"{name:<10} {text}", flush=True)


def _write_beginning(
    run: Run,
    full: Run,
    dataset: data.Dataset,
    split: data.Split,
    colorizer: Colorizer | None,
    folder: RunFolder,
) -> None:
    digest = colorizer.digest if colorizer else None
    if folder.config.exists() and read_config(folder)["colorizer_digest"] != digest:
        raise InputError(f"{run.colorizer} is another colorizer than at the beginning.")
    about = {
        "colorizer_digest": digest,
        "resolved": {"zca": full.zca, "hflip": full.hflip},
        "classes": list(dataset.classes),
        "image_size": int(dataset.images.shape[1]),
        "backend": keras.backend.backend(),
        "hardware": origin.hardware(backend.device_names()),
    }
    if not folder.config.exists():
        write_config(folder, run, about)
    if not folder.split.exists():
        data.save_split(split, dataset, folder.split)


def _train(prepared: preparation.Prepared, folder: RunFolder) -> None:
    """Runs `fit` from the last complete epoch to the end."""
    run, learner, batches = prepared.run, prepared.learner, prepared.batches
    complete = checkpoints.restore(learner, folder.checkpoints, split=batches.split)
    if complete:
        print(f"resumed    after epoch {complete} of {run.epochs}", flush=True)
    if complete >= run.epochs:
        return
    steps = batches.steps_per_epoch
    learner.fit(
        Feed(batches, first=complete * steps, last=run.epochs * steps),
        epochs=run.epochs,
        initial_epoch=complete,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=run.verbosity,
        callbacks=[
            callbacks.StopWhenNotFinite(folder.checkpoints),
            callbacks.EpochErrors(
                _measures(prepared), preparation.images_per_step(learner, batches)
            ),
            callbacks.LogFile(folder.log, complete),
            callbacks.TensorBoard(folder.tensorboard),
            callbacks.Checkpoints(folder.checkpoints, batches.split),
        ],
    )


def _measures(prepared: preparation.Prepared) -> dict:
    """Error rates that are measured after each epoch, by their names in the log."""
    dataset, held_out = prepared.dataset, prepared.batches.split.validation

    def error(images, labels):
        devices = prepared.run.devices
        return lambda: evaluation.error_rate(
            evaluation.probabilities(prepared.classifier, images, devices=devices),
            labels,
        )

    measures = {"test_error": error(dataset.test_images, dataset.test_labels)}
    if len(held_out):
        images, labels = dataset.images[held_out], dataset.labels[held_out]
        measures["validation_error"] = error(images, labels)
    for name in prepared.learner.evaluated():
        measures[f"{name}_test_error"] = _of_weights(
            name, measures["test_error"], prepared
        )
    return measures


def _of_weights(name: str, error: Callable[[], float], prepared: preparation.Prepared):
    """The same error rate with further weights in place of the student's."""

    def measured() -> float:
        learner = prepared.learner
        with learner.network.replaced(learner.evaluated()[name]):
            return error()

    return measured
