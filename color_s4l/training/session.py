"""One training run from its settings to its run directory.

settings -> inputs -> learner -> fit -> results
"""

import contextlib
import dataclasses
import functools
import gc
import logging
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from color_s4l import backend, command_line, data, methods, progress
from color_s4l import settings as run_settings
from color_s4l.artifacts import cache, provenance, run_directory
from color_s4l.artifacts.run_directory import Result, RunDirectory
from color_s4l.data import lazy_images
from color_s4l.data.streams import seed_initialisers
from color_s4l.errors import InputError
from color_s4l.networks import TRUNKS, Network, inference_model
from color_s4l.networks.structure import ALL
from color_s4l.settings import (
    DataSettings,
    ProcessSettings,
    Run,
    Settings,
    SplitSettings,
    part,
)
from color_s4l.terms.term import Term
from color_s4l.training import (
    budget,
    build,
    callbacks,
    checkpoints,
    probing,
    processes,
    recognition,
    results,
)
from color_s4l.training import inputs as run_inputs
from color_s4l.training.build import Prepared
from color_s4l.training.evaluation import Evaluation
from color_s4l.training.feeding import Feed
from color_s4l.training.inputs import InputFiles, Inputs, PretrainedWeights
from color_s4l.training.learner import Learner
from color_s4l.training.processes import Group
from color_s4l.views.step import LABELED, TARGETS, UNLABELED

logger = logging.getLogger(__name__)
Scope = Callable[[], contextlib.AbstractContextManager]
# Number of images whose pixels are compared between the processes. Only a sample is
# compared, because images may be decoded on demand.
_COMPARED = 100


def train(
    run: Run,
    images: data.Data | None = None,
    extra_callbacks: Sequence[keras.callbacks.Callback] = (),
    *,
    shared_process: bool = False,
) -> Result:
    """Trains a classifier and writes the run directory.

    Args:
        run: The settings; without `recipe`.
        images: The images; None: the data set of the settings is read.
        extra_callbacks: Further Keras callbacks for `fit`.
        shared_process: Whether this process trains several runs, for example the stages
            of a recipe; then the number of threads is not changed.

    Returns:
        The content of result.json. A run that is complete is not run again.

    Raises:
        InputError: A setting or an input file is wrong, the directory exists, or the
            loss is not finite.
    """
    started = time.perf_counter()
    terms = checked_terms(run)
    scope = start(run, () if shared_process else terms)
    values = run_settings.to_json(run)
    place, shared = part(run, ProcessSettings), run_settings.shared_values(run)
    with processes.joined(place, shared) as group:
        directory = _claim(values, group)
        if directory.result.exists():
            logger.info("complete   %s already has its result", directory.path)
            return group.leave(run_directory.read_result(directory))
        source = images or part(run, DataSettings)
        kept = lazy_images.outside_memory if run.distributed else contextlib.nullcontext
        with kept():
            # In turn: process 0 downloads a data set or weights, the others find them.
            inputs = group.in_turn(
                lambda: run_inputs.read_inputs(
                    source,
                    part(run, SplitSettings),
                    run_settings.inputs_of(run),
                    terms,
                    directory,
                )
            )
        if group.count > 1:
            group.agree(_described(inputs), "images")
        settings = resolve(run, terms, inputs.data.size, len(inputs.split.labeled))
        with contextlib.ExitStack() as stack:
            prepared = group.in_turn(
                lambda: _prepare(
                    *(run, settings, inputs, terms, directory, scope, stack, started),
                    writes=group.leads,
                )
            )
            result = _train(
                prepared, inputs, directory, scope, extra_callbacks, started, group
            )
        return group.leave(result)


def _claim(values: dict, group: Group) -> RunDirectory:
    """Checks that the run may use its directory; the directory is created later."""
    if not group.leads:  # process 0 may be creating the directory
        values = {**values, "resume": True}
    return group.in_turn(lambda: run_directory.claim(values, keras.backend.backend()))


def _described(inputs: Inputs) -> dict[str, str]:
    """Returns counts and digests of the inputs, which all processes must share."""
    images, split = inputs.data, inputs.split
    indices = [np.asarray(part) for part in vars(split).values()]
    some = np.linspace(0, len(images.images) - 1, _COMPARED).astype(int)
    return {
        "training images": f"{len(images.images)} of {images.size} px",
        "test images": str(len(images.test_images)),
        f"pixels of {_COMPARED} images": cache.digest(images.images[some]),
        "labels": cache.digest(images.labels, images.test_labels),
        "classes": ", ".join(images.classes),
        "split": cache.digest(*indices),
        **{name: str(digest) for name, digest in inputs.files.digests.items()},
    }


def _train(
    prepared: Prepared,
    inputs: Inputs,
    directory: RunDirectory,
    scope: Scope,
    extra_callbacks: Sequence[keras.callbacks.Callback],
    started: float,
    group: Group,
) -> Result | None:
    """Trains a prepared run; process 0 evaluates it and writes its files.

    Returns:
        The content of result.json; None on all processes except process 0.
    """
    settings = prepared.settings
    evaluation = Evaluation(
        prepared.learner,
        prepared.classifier,
        prepared.data,
        inputs.split.validation,
        settings.evaluation,
    )
    with scope(), _precision(settings.runtime.dtype_policy):
        if methods.solver_of(settings.method):
            seconds = time.perf_counter() - started
            labeled = len(inputs.split.labeled)
            probing.write_log(directory.log, evaluation, labeled, seconds)
            resumed = 0
        else:
            resumed = _fit(prepared, evaluation, directory, extra_callbacks, group)
        if not group.leads:
            return None
        evaluation.assign_final_weights()
        if settings.evaluation.batch_statistics == "reestimated":
            learner = prepared.learner
            build.reestimate_statistics(learner.network, learner.preprocessing, inputs)
        if count := len(inputs.data.test_images):
            logger.info("evaluating %s test images", f"{count:,}")
        result, probabilities = results.measure(
            prepared, evaluation, directory, started, resumed
        )
    with _precision(settings.runtime.dtype_policy):
        logger.info("writing    models, samples and pictures")
        results.write(prepared, result, probabilities, directory)
    return result


def checked_terms(run: Run) -> tuple[Term, ...]:
    """Checks that the settings of a run fit together, and returns its terms.

    Raises:
        InputError: A setting is outside its range, the network or method does not
            exist, or the method ignores a setting or lacks one that it needs.
    """
    run_settings.check(run)
    TRUNKS.entry(run.network)  # raises an error for an unknown name
    # Raises an error for weights that the network cannot load.
    run_settings.weights_of(run.network, run.weights, run.init_from)
    terms = methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    if run.lora_rank and not run_settings.pretrained(run):
        raise InputError(
            f"`lora_rank`={run.lora_rank} keeps the weights of the trunk, which are "
            "random: set `init_from` or `weights`."
        )
    if run.lora_rank and methods.solver_of(run.method):
        raise InputError(
            f"`method`={run.method} does not train the trunk: remove `lora_rank`."
        )
    if methods.solver_of(run.method) and run.devices > 1:
        raise InputError(
            f"`method`={run.method} uses one device. Received: `devices`={run.devices}."
        )
    if methods.solver_of(run.method) and run.distributed:
        raise InputError(
            f"`method`={run.method} trains in one process: remove `distributed`."
        )
    if run.probe_layer and not methods.solver_of(run.method):
        raise InputError(
            f"`probe_layer`={run.probe_layer} needs `method`=probe or knn. "
            f"Received: `method`={run.method}."
        )
    if run.balance and not any(term.class_weighted for term in terms):
        raise InputError(
            "`balance` needs a term that weights classes, for example `supervised`; "
            f"`method`={run.method} has none."
        )
    offered = [name for term in terms for name in term.further_weights()]
    if run.final_weights is not None and run.final_weights not in offered:
        expected = f"to be {' or '.join(offered)}" if offered else "not to be set"
        raise InputError(
            f"Expected `final_weights` {expected} for `method`={run.method}. "
            f"Received: {run.final_weights}."
        )
    reads_labeled = methods.copies_of(terms, LABELED) > 0
    if run.flip_order == "alternating" and not reads_labeled:
        raise InputError(
            f"`flip_order`=alternating needs a method that reads labelled images; "
            f"`method`={run.method} reads none."
        )
    flips = [t for term in terms for t in term.proxy_tasks() if t.startswith("flipped")]
    if run.hflip_unlabeled and flips:
        raise InputError(
            f"`hflip_unlabeled` makes the proxy tasks {' and '.join(flips)} of "
            f"`method`={run.method} impossible: remove it."
        )
    reads_labels = TARGETS in methods.views_of(terms)
    if reads_labels and not run.pseudo_labels:
        raise InputError(
            f"`method`={run.method} trains on the labels of an earlier run: set "
            "`pseudo_labels` to the file of these labels."
        )
    if run.pseudo_labels and not reads_labels:
        raise InputError(
            f"`pseudo_labels`={run.pseudo_labels} is not used by `method`={run.method}."
        )
    return terms


def resolve(
    run: Run, terms: Sequence[Term], image_size: int, labels: int | None = None
) -> Settings:
    """Returns the resolved settings for these terms and images.

    Args:
        run: Checked settings.
        terms: The terms of the method.
        image_size: Side of the images in pixels.
        labels: Number of labelled images; None: enough for any batch size.

    Raises:
        InputError: `zca` is set, but the images or the normalisation do not allow it.
    """
    if methods.solver_of(run.method):
        # Solving counts as one epoch. Half precision is too coarse for the head, into
        # which the standardisation of the features is folded.
        run = dataclasses.replace(run, epochs=1, dtype_policy="float32")
    return run_settings.resolve(
        run,
        image_size=image_size,
        labeled_views=methods.copies_of(terms, LABELED),
        unlabeled_views=methods.copies_of(terms, UNLABELED),
        labels=labels,
    )


def start(run: Run, terms: Sequence[Term] = ()) -> Scope:
    """Configures the backend and the process; called before any computation.

    Args:
        run: The settings of the run.
        terms: The terms of the method; empty if this process trains several runs.

    Returns:
        A function that opens the scope in which networks are built and trained.

    Raises:
        InputError: The machine has fewer devices than `run.devices`, or several
            processes on this backend need compiled steps.
    """
    compiled = run.jit_compile is not False
    if run.distributed and backend.COMPILES_TOGETHER and not compiled:
        raise InputError(
            "`distributed` needs compiled steps on JAX: leave `jit_compile` out."
        )
    if run.deterministic:
        backend.make_deterministic()
    colorizer = run_inputs.needs_colorizer(terms) and run.colorizer is None
    alone = run.devices == 1 and not run.distributed
    equal_passes = run.labeled_batch is None and alone and not colorizer
    if equal_passes and all(term.one_pass for term in terms):
        backend.share_cores(len(terms))
    # In a distributed run, each process evaluates and saves on one device. Only the
    # training in `_fit` uses all devices of the process.
    return backend.distributed(1 if run.distributed else run.devices)


def free_memory() -> None:
    """Frees the compiled steps of earlier runs in this process."""
    keras.backend.clear_session()
    gc.collect()


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _prepare(
    run: Run,
    settings: Settings,
    inputs: Inputs,
    terms: Sequence[Term],
    directory: RunDirectory,
    scope: Scope,
    stack: contextlib.ExitStack,
    started: float,
    *,
    writes: bool = True,
) -> Prepared:
    """Creates the directory and returns the parts of the run.

    The directory is locked until `stack` is closed. With `minutes`, `settings` has a
    placeholder for the number of epochs. With `writes` false, the directory and its
    files exist already.
    """
    if not writes and not directory.config.exists():
        raise InputError(
            f"{directory.path}, which process 0 has created, does not exist on "
            f"{platform.node()}: choose a `run_dir` that all computers share."
        )
    image_shape = inputs.data.images.shape[1:]
    policy = settings.runtime.dtype_policy
    solver = methods.solver_of(run.method)
    timed = run.minutes is not None and not solver
    seed_initialisers(settings.step.seed)
    with scope(), _precision(policy):
        network = build.build_network(
            settings.model,
            terms,
            image_shape,
            len(inputs.data.classes),
            synchronized=build.is_synchronized(1 if run.distributed else run.devices),
            initial=inputs.files.initial or _pretrained(inputs.files, directory),
        )
        if solver:
            network = probing.features_of(network.trunk, run.network, run.probe_layer)
    _announce(settings, inputs, terms, network, directory)
    if writes:
        stack.enter_context(run_directory.created(directory))
    if not directory.config.exists():
        unknown = {"epochs": None} if timed else {}
        values = {**settings.values, **unknown}
        known = dataclasses.replace(settings, values=values)
        write_config(run, known, inputs.data, inputs.files, directory)
    if not directory.split.exists():
        data.save_split(inputs.split, inputs.data, directory.split)
    colorizer = inputs.files.colorizer
    if run_inputs.needs_colorizer(terms) and not colorizer:
        # Outside the scope for devices: the colorizer is trained on one device, in
        # float32.
        colorizer = run_inputs.own_colorizer(
            inputs,
            directory,
            seed=settings.step.seed,
            verbosity=settings.runtime.verbosity,
        )
    batches = build.build_batches(settings.step, inputs, colorizer)
    statistics = build.preprocessing_statistics(settings.model, inputs, directory)
    with scope(), _precision(policy):
        preprocessing = build.build_preprocessing(
            settings.model, image_shape, statistics
        )
        if not inputs.files.initial:
            build.adapt(network.trunk, preprocessing, inputs)
        if solver:
            if not run_settings.pretrained(run):
                warnings.warn(
                    f"`method`={run.method} uses the features of random weights: set "
                    "`init_from` or `weights`.",
                    stacklevel=2,
                )
            network = probing.with_solved_head(
                network, preprocessing, inputs, solver, settings.step.seed
            )

        def make_learner(chosen: Settings) -> Learner:
            return build.build_learner(
                network,
                preprocessing,
                terms,
                batches,
                chosen.step,
                chosen.optimization,
                chosen.runtime,
            )

        if timed:
            epochs = run_directory.read_config(directory)["settings"]["epochs"]
            measured = epochs is None
            if measured:
                speed = budget.measure_speed(
                    functools.partial(make_learner, settings), network, batches
                )
                end = started + 60 * (run.minutes or 0)
                epochs = _epochs_until(end, speed, run, inputs, terms, batches)
            chosen = dataclasses.replace(run, epochs=epochs)
            size, labels = inputs.data.size, len(inputs.split.labeled)
            settings = resolve(chosen, terms, size, labels)
            if measured:
                write_config(run, settings, inputs.data, inputs.files, directory)
        learner = make_learner(settings)
        classifier = inference_model(network, preprocessing)
    about = run_inputs.describe_colorizer(colorizer) if colorizer else None
    return Prepared(settings, inputs.data, batches, learner, classifier, about)


def _pretrained(files: InputFiles, directory: RunDirectory) -> PretrainedWeights | None:
    """Returns the weights of the setting `weights`; None if there is a checkpoint."""
    return None if checkpoints.saved(directory.checkpoints) else files.weights


def _epochs_until(
    end: float,
    speed: budget.Speed,
    run: Run,
    inputs: Inputs,
    terms: Sequence[Term],
    batches: data.StepBatches,
) -> int:
    """Returns the number of epochs that fit, and logs it.

    Args:
        end: `time.perf_counter()` at the end of the run.
        speed: The measured speed.
        run: The settings, with `minutes`.
        inputs: Images and split.
        terms: The terms of the method.
        batches: The step batches.
    """
    weights = 1 + sum(len(term.further_weights()) for term in terms)
    tests, validation = len(inputs.data.test_images), len(inputs.split.validation)
    epochs, seconds = budget.epochs_within(
        end - time.perf_counter(),
        speed,
        steps_per_epoch=batches.steps_per_epoch,
        images_per_step=build.images_per_step(terms, batches),
        evaluated=budget.Evaluated(
            epoch=weights * (tests + validation),
            final=weights * tests,
            every=run.evaluate_every,
        ),
    )
    budget.announce(run.minutes or 0.0, epochs, seconds, speed)
    return epochs


def write_config(
    run: Run,
    settings: Settings,
    images: data.Data,
    files: InputFiles,
    directory: RunDirectory,
) -> None:
    """Writes config.json.

    Args:
        run: The settings as given.
        settings: The resolved settings.
        images: The images; their class names are written.
        files: The other input files.
        directory: The run directory.
    """
    values = run_settings.to_json(run)
    given = {name: values[name] for name in values if name not in run_settings.FREE}
    command = command_line.command("color_s4l.train", run_settings.from_json(given))
    run_directory.write_config(
        directory,
        {
            "run": values,
            "settings": dict(settings.values),
            "digests": files.digests,
            "classes": list(images.classes),
            "image_size": settings.data.image_size,
            "backend": keras.backend.backend(),
            "hardware": provenance.hardware(backend.device_names()),
            "command": command,
        },
    )


def _announce(
    settings: Settings,
    inputs: Inputs,
    terms: Sequence[Term],
    network: Network,
    directory: RunDirectory,
) -> None:
    """Logs one line each on method, images, labels, classes, network, steps, ..."""
    images, split, step = inputs.data, inputs.split, settings.step
    runtime = settings.runtime
    steps = data.steps_per_epoch(len(split.unlabeled), step.batch_size)
    views = methods.copies_of(terms, UNLABELED)
    labeled = step.labeled_batch if methods.copies_of(terms, LABELED) else 0
    labels = images.labels[split.labeled]
    lines = {
        "method": f"{settings.method}: "
        + (" + ".join(type(term).__name__ for term in terms) or "frozen features"),
        "images": f"{images.name}, {settings.data.image_size} px, "
        f"{len(images.classes)} classes: {len(images.images):,} training images, "
        f"{len(images.test_images):,} test images",
        "labels": f"{len(split.labeled):,} labelled, {len(split.unlabeled):,} "
        f"unlabelled, {len(split.validation):,} validation",
        "classes": data.described(labels, images.classes),
        "network": f"{settings.model.network}, width {settings.model.width:g}, "
        f"{network.num_parameters:,} parameters{_initial(settings)}",
        "steps": f"{_epochs(settings)} of {steps:,} steps; each "
        f"step {labeled} labelled images and {step.batch_size * views} views of "
        f"{step.batch_size} unlabelled images"
        if terms
        else "none",
        "devices": f"{runtime.devices} x {backend.device_names()[0]}, "
        f"{keras.backend.backend()}, {runtime.dtype_policy}",
        "results": str(directory.path),
    }
    for name, text in lines.items():
        logger.info("%-10s %s", name, text)
    weighted = any(term.class_weighted for term in terms)
    if weighted and not step.balance and data.imbalanced(labels, images.classes):
        warnings.warn(
            "The largest class has more than 10 times as many labelled images as the "
            "smallest: set `balance` to weight the class loss.",
            stacklevel=2,
        )


def _epochs(settings: Settings) -> str:
    """Returns the number of epochs, or the time of the run, in words."""
    if minutes := settings.values["minutes"]:
        return f"as many epochs as fit into {minutes:g} minutes,"
    return f"{settings.optimization.epochs} epochs"


def _initial(settings: Settings) -> str:
    """Returns the loaded weights, the adapters and the frozen blocks in words."""
    weights, blocks = settings.inputs.weights, settings.model.freeze_blocks
    source = settings.inputs.init_from or weights
    text = f", weights of {source}" if source != run_settings.NO_WEIGHTS else ""
    if rank := settings.model.lora_rank:
        text += f", adapters of rank {rank}"
    if not blocks:
        return text
    frozen = "all" if blocks == ALL else blocks
    return f"{text}, {frozen} blocks frozen"


def _fit(
    prepared: Prepared,
    evaluation: Evaluation,
    directory: RunDirectory,
    extra_callbacks: Sequence[keras.callbacks.Callback],
    group: Group,
) -> int:
    """Trains the remaining epochs; returns the number that were complete before."""
    learner, batches = prepared.learner, prepared.batches
    every = prepared.settings.evaluation.evaluate_every
    epochs = prepared.settings.optimization.epochs
    found = checkpoints.saved(directory.checkpoints)
    complete = checkpoints.restore(learner, directory.checkpoints, split=batches.split)
    group.agree({"epochs": str(complete)}, "checkpoints")
    if complete:
        logger.info("resumed    after epoch %s of %s", complete, epochs)
    elif prepared.settings.inputs.weights != run_settings.NO_WEIGHTS and found:
        raise InputError(
            f"No checkpoint in {directory.checkpoints} can be read: start again with "
            "another `run_dir`."
        )
    if complete >= epochs:
        return complete
    steps = batches.steps_per_epoch
    images = build.images_per_step(learner.terms, batches)
    span = progress.Span(epochs, steps, images, complete)
    share = batches.part(group.process_id, group.count)
    feed = Feed(share, first=complete * steps, last=epochs * steps)
    errors = (
        evaluation.shared_measures(group) if group.together else evaluation.measures()
    )
    first = [callbacks.StopWhenNotFinite(directory.checkpoints)]
    own = [
        callbacks.LoadingSpeed(feed),
        callbacks.EpochErrors(errors, images, every),
    ]
    if group.leads:
        own += [
            callbacks.WarnIfWorseThanConstant(len(prepared.data.classes)),
            recognition.WarnAtChance(prepared.data, batches, complete),
            callbacks.LogFile(directory.log, complete),
            callbacks.TensorBoard(directory.tensorboard),
            callbacks.Checkpoints(directory.checkpoints, batches.split),
        ]
    fitting, feeding = contextlib.nullcontext(), backend.fed
    if group.together:
        own = [callbacks.OnOwnLearner(learner, group, own)]
        learner = _shared_learner(prepared, group, group.together)
        fitting, feeding = group.together.fitting(), group.together.fed
    verbosity = prepared.settings.runtime.verbosity if group.leads else 0
    with (
        feed.failing_as_itself(),
        progress.shown(verbosity, span) as watchers,
        feeding(feed) as batches_of_steps,
        fitting,
    ):
        learner.fit(
            batches_of_steps,
            epochs=epochs,
            initial_epoch=complete,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[*first, *own, *watchers, *extra_callbacks],
        )
    if group.together:
        group.end_training()
        group.together.leave()
    return complete


def _shared_learner(
    prepared: Prepared, group: Group, together: backend.Together
) -> Learner:
    """Returns a learner for all processes, with the values of the prepared one."""
    settings, learner = prepared.settings, prepared.learner
    image_shape = prepared.data.images.shape[1:]
    seed_initialisers(settings.step.seed)
    with together.building():
        network = build.build_network(
            settings.model,
            learner.terms,
            image_shape,
            len(prepared.data.classes),
            synchronized=build.is_synchronized(group.count * settings.runtime.devices),
        )
        shared = build.build_learner(
            network,
            build.build_preprocessing(settings.model, image_shape),
            learner.terms,
            prepared.batches,
            settings.step,
            settings.optimization,
            settings.runtime,
        )
        callbacks.copy_values(learner, shared)
    return shared
