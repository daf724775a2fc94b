"""A run from its values to its folder: prepare, train, evaluate, save."""

import contextlib
from collections.abc import Iterator

import keras

from color_s4l import data, evaluation, methods, origin
from color_s4l.config import Run
from color_s4l.networks import Network, inference_model
from color_s4l.randomness import seed_initialisers
from color_s4l.training import callbacks, checkpoints, colors, preparation, results
from color_s4l.training.backend import backend
from color_s4l.training.feed import Feed
from color_s4l.training.run_folder import (
    RunFolder,
    open_folder,
    read_result,
    write_config,
)
from colorization import saving


def fit(run: Run) -> dict:
    """Trains a classifier and writes the run folder.

    Args:
        run: What to do.

    Returns:
        The content of result.json. A run that is complete is not run again.

    Raises:
        InputError: A value does not fit, the folder exists, the loss is not finite.
    """
    preparation.check(run)
    # First of all: a backend that is running can't be given more devices.
    scope = backend.distributed(run.devices)
    terms = methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    if run.colorizer and colors.needed(terms):
        saving.load(run.colorizer)  # refused now rather than after the data is read
    seed_initialisers(run.seed)
    if run.deterministic:
        backend.make_deterministic()
    dataset = data.load(run.dataset, run.data_dir, run.image_size)
    split = preparation.split_of(run, dataset)
    full = preparation.resolved(run, dataset)
    with scope(), _precision(run.dtype_policy):
        network = preparation.network_of(full, terms, dataset)
    folder = open_folder(run)
    if folder.result.exists():
        print(f"complete   {folder.path} holds the result already")
        return read_result(folder)
    _announce(full, dataset, split, terms, network, folder)
    _write_beginning(run, full, dataset, split, folder)
    colorizer = None
    if colors.needed(terms):
        colorizer = colors.colorizer_of(full, dataset, split, folder)
    batches = preparation.batches_of(full, dataset, split, terms, colorizer)
    statistics = preparation.statistics_of(full, dataset, folder)
    with scope(), _precision(run.dtype_policy):
        preprocessing = preparation.preprocessing_of(full, dataset, statistics)
        learner = preparation.learner_of(full, network, preprocessing, terms, batches)
        prepared = preparation.Prepared(
            full,
            dataset,
            batches,
            learner,
            inference_model(network, preprocessing),
            colors.described(colorizer) if colorizer else None,
        )
        _train(prepared, folder)
        result, predicted = results.measure(prepared, folder)
    with _precision(run.dtype_policy):
        results.write(prepared, result, predicted, folder)
    return result


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
    steps = max(1, len(split.unlabeled) // run.batch_size)
    views = methods.proxy_views(terms)
    draws = run.batch_size * (views or preparation.BASELINE_DRAWS)
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


def _write_beginning(run, full, dataset, split, folder) -> None:
    about = {
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
    complete = checkpoints.restore(learner, folder.checkpoints) if run.resume else 0
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
            callbacks.Checkpoints(folder.checkpoints),
        ],
    )


def _measures(prepared: preparation.Prepared) -> dict:
    """Error rates that are measured after each epoch, by their names in the log."""
    dataset, held_out = prepared.dataset, prepared.batches.split.validation

    def error(images, labels):
        return lambda: evaluation.error_rate(
            evaluation.probabilities(prepared.classifier, images), labels
        )

    measures = {"test_error": error(dataset.test_images, dataset.test_labels)}
    if len(held_out):
        images, labels = dataset.images[held_out], dataset.labels[held_out]
        measures["validation_error"] = error(images, labels)
    return measures
