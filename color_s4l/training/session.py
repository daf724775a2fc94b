"""A run from its values to its folder: prepare, train, evaluate, save."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras

from color_s4l import backend, data, methods, progress
from color_s4l.artifacts import provenance
from color_s4l.artifacts.run_directory import (
    RunFolder,
    check_folder,
    make_folder,
    read_result,
    write_config,
)
from color_s4l.data.streams import seed_initialisers
from color_s4l.networks import inference_model
from color_s4l.settings import Run
from color_s4l.terms import Proxies, Supervised, Term
from color_s4l.training import (
    callbacks,
    checkpoints,
    colors,
    fitting,
    measures,
    preparation,
    results,
    values,
)
from color_s4l.training.feeding import Feed
from color_s4l.training.given import inputs
from color_s4l.training.given.contents import Contents
from color_s4l.training.given.inputs import Inputs


def fit(run: Run, dataset: data.Data | None = None) -> dict:
    """Trains a classifier and writes the run folder.

    Args:
        run: What to do.
        dataset: Its images, where they have been read already.

    Returns:
        The content of result.json. A run that is complete is not run again.

    Raises:
        InputError: A value does not fit, the folder exists, the loss is not finite.
    """
    values.check(run)
    terms = methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    values.check_method(run, terms)
    # A recipe's stages have their images already, and share a process.
    scope = start(run, terms if dataset is None else ())
    folder = check_folder(run, keras.backend.backend())
    if folder.result.exists():
        print(f"complete   {folder.path} holds the result already")
        return read_result(folder)
    given = inputs.read(run, terms, folder, dataset)
    prepared = _prepare(run, terms, given, folder, scope)
    with scope(), _precision(run.dtype_policy):
        _train(prepared, folder)
        result, probabilities = results.measure(prepared, folder)
    with _precision(run.dtype_policy):
        results.write(prepared, result, probabilities, folder)
    return result


def start(
    run: Run, terms: Sequence[Term] = ()
) -> Callable[[], contextlib.AbstractContextManager]:
    """Tells backend and process what they must know before anything is computed.

    Args:
        run: How many devices, and whether all is to be bit-equal.
        terms: Of its method, where nothing else is trained in this process.

    Returns:
        What opens a scope in which networks are made and trained.

    Raises:
        InputError: There are fewer devices.
    """
    if run.deterministic:
        backend.make_deterministic()
    if _equal_passes(run, terms):
        backend.share_cores(len(terms))
    return backend.distributed(run.devices)


def _equal_passes(run: Run, terms: Sequence[Term]) -> bool:
    """Whether a step is of one pass per term, all of one size, and nothing else."""
    simple = all(isinstance(term, Supervised | Proxies) for term in terms)
    own_colorizer = colors.needed(terms) and run.colorizer is None
    one_size = run.labeled_batch is None and run.devices == 1
    return simple and one_size and not own_colorizer


def _prepare(
    run: Run,
    terms: Sequence[Term],
    given: Inputs,
    folder: RunFolder,
    scope: Callable[[], contextlib.AbstractContextManager],
) -> preparation.Prepared:
    """Says what is going to be done, makes the folder, and all that training needs."""
    dataset, split, contents = given.dataset, given.split, given.contents
    full = values.resolved(run, dataset)
    seed_initialisers(run.seed)
    with scope(), _precision(run.dtype_policy):
        network = preparation.network_of(full, terms, dataset, contents.initial)
    inputs.announce(full, given, terms, network, folder)
    make_folder(folder)
    _write_beginning(run, full, given, folder)
    colorizer = contents.colorizer
    if colors.needed(terms) and not colorizer:
        colorizer = colors.own_colorizer(full, dataset, split, folder)
    batches = preparation.batches_of(
        full, dataset, split, terms, colorizer, given.targets
    )
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
    if not folder.config.exists():
        write_config(folder, run, about(full, given.dataset, given.contents))
    if not folder.split.exists():
        data.save_split(given.split, given.dataset, folder.split)


def about(full: Run, dataset: data.Data, contents: Contents) -> dict:
    """What config.json says besides the flags.

    Args:
        full: The run, resolved.
        dataset: Its images.
        contents: Of its other files.
    """
    return {
        "digests": contents.digests,
        "resolved": {"zca": full.zca, "hflip": full.hflip},
        "classes": list(dataset.classes),
        "image_size": int(dataset.images.shape[1]),
        "backend": keras.backend.backend(),
        "hardware": provenance.hardware(backend.device_names()),
    }


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
    with progress.shown(run.verbosity, span) as watchers, backend.fed(feed) as fed:
        learner.fit(
            fed,
            epochs=run.epochs,
            initial_epoch=complete,
            steps_per_epoch=batches.steps_per_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[
                callbacks.StopWhenNotFinite(folder.checkpoints),
                callbacks.LoadingSpeed(feed),
                callbacks.EpochErrors(measures.of_epoch(prepared), images),
                callbacks.LogFile(folder.log, complete),
                callbacks.TensorBoard(folder.tensorboard),
                callbacks.Checkpoints(folder.checkpoints, batches.split),
                *watchers,
            ],
        )
