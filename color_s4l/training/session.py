"""A run from its values to its folder: prepare, train, evaluate, save."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras

from color_s4l import data, evaluation, methods, origin, progress
from color_s4l.config import Run
from color_s4l.networks import inference_model
from color_s4l.randomness import seed_initialisers
from color_s4l.terms import Term
from color_s4l.training import (
    callbacks,
    checkpoints,
    colors,
    fitting,
    inputs,
    preparation,
    results,
    values,
)
from color_s4l.training.backend import backend
from color_s4l.training.feed import Feed
from color_s4l.training.inputs import Inputs
from color_s4l.training.run_folder import (
    RunFolder,
    check_folder,
    make_folder,
    read_result,
    write_config,
)


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
    values.check_balance(run, terms)
    folder = check_folder(run, keras.backend.backend())
    if folder.result.exists():
        print(f"complete   {folder.path} holds the result already")
        return read_result(folder)
    # Before anything is computed: a running backend can't be given more devices.
    scope = backend.distributed(run.devices)
    given = inputs.read(run, terms, folder)
    prepared = _prepare(run, terms, given, folder, scope)
    with scope(), _precision(run.dtype_policy):
        _train(prepared, folder)
        result, probabilities = results.measure(prepared, folder)
    with _precision(run.dtype_policy):
        results.write(prepared, result, probabilities, folder)
    return result


def _prepare(
    run: Run,
    terms: Sequence[Term],
    given: Inputs,
    folder: RunFolder,
    scope: Callable[[], contextlib.AbstractContextManager],
) -> preparation.Prepared:
    """Says what is going to be done, makes the folder, and all that training needs."""
    dataset, split, colorizer = given.dataset, given.split, given.colorizer
    full = values.resolved(run, dataset)
    seed_initialisers(run.seed)
    with scope(), _precision(run.dtype_policy):
        network = preparation.network_of(full, terms, dataset, given.initial)
    inputs.announce(full, given, terms, network, folder)
    make_folder(folder)
    _write_beginning(run, full, given, folder)
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


def _write_beginning(run: Run, full: Run, given: Inputs, folder: RunFolder) -> None:
    dataset = given.dataset
    about = {
        "digests": given.digests,
        "resolved": {"zca": full.zca, "hflip": full.hflip},
        "classes": list(dataset.classes),
        "image_size": int(dataset.images.shape[1]),
        "backend": keras.backend.backend(),
        "hardware": origin.hardware(backend.device_names()),
    }
    if not folder.config.exists():
        write_config(folder, run, about)
    if not folder.split.exists():
        data.save_split(given.split, dataset, folder.split)


def _train(prepared: preparation.Prepared, folder: RunFolder) -> None:
    """Runs `fit` from the last complete epoch to the end."""
    run, learner, batches = prepared.run, prepared.learner, prepared.batches
    complete = checkpoints.restore(learner, folder.checkpoints, split=batches.split)
    if complete:
        print(f"resumed    after epoch {complete} of {run.epochs}", flush=True)
    if complete >= run.epochs:
        return
    steps = batches.steps_per_epoch
    feed = Feed(batches, first=complete * steps, last=run.epochs * steps)
    with feed.failing_as_itself():
        _fit(prepared, folder, feed, complete)


def _fit(
    prepared: preparation.Prepared, folder: RunFolder, feed: Feed, complete: int
) -> None:
    run, learner, batches = prepared.run, prepared.learner, prepared.batches
    images = preparation.images_per_step(learner, batches)
    span = progress.Span(run.epochs, batches.steps_per_epoch, images, complete)
    with progress.shown(run.verbosity, span) as watchers:
        learner.fit(
            feed,
            epochs=run.epochs,
            initial_epoch=complete,
            steps_per_epoch=batches.steps_per_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[
                callbacks.StopWhenNotFinite(folder.checkpoints),
                callbacks.LoadingSpeed(feed),
                callbacks.EpochErrors(_measures(prepared), images),
                callbacks.LogFile(folder.log, complete),
                callbacks.TensorBoard(folder.tensorboard),
                callbacks.Checkpoints(folder.checkpoints, batches.split),
                *watchers,
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
        images = data.subset(dataset.images, held_out)
        measures["validation_error"] = error(images, dataset.labels[held_out])
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
