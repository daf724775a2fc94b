"""The files of a finished run: models, result.json, samples and pictures."""

import dataclasses
import functools
import logging
import os
import time

import keras
import numpy as np
import pandas as pd
from PIL import Image

from color_s4l import data
from color_s4l.artifacts import models, pictures
from color_s4l.artifacts.files import write_atomically, write_json
from color_s4l.artifacts.models import SUFFIXES, About
from color_s4l.artifacts.run_directory import Result, RunDirectory
from color_s4l.networks import inference_model
from color_s4l.networks.network import CLASSES
from color_s4l.networks.structure import merged_weights, release
from color_s4l.registry import PROXIES, TRUNKS
from color_s4l.training import build, calibration, evaluation, probing, recognition
from color_s4l.training.build import Prepared
from color_s4l.training.evaluation import Evaluation
from color_s4l.training.learner import Learner
from color_s4l.views import proxies
from color_s4l.views.step import COLORIZED, UNLABELED, own_first
from colorization import metrics

logger = logging.getLogger(__name__)

# Columns of the log whose median over the epochs is part of the result.
SPEEDS = ("images_per_second", "loading_images_per_second", "loading_busy")
# Numbers of images in the pictures of views and in the list of mistakes.
PICTURED = 8
MISTAKES = 24
# Largest side in pixels of an image in samples.npz; larger images are shrunk.
LARGEST_SIDE = 96


def measure(
    prepared: Prepared,
    evaluation: Evaluation,
    directory: RunDirectory,
    started: float,
    resumed: int,
) -> tuple[Result, np.ndarray | None]:
    """Evaluates the weights of the last epoch on the test images.

    Args:
        prepared: The trained run.
        evaluation: Measures the errors.
        directory: The run directory, with the log.
        started: `time.perf_counter()` when this process began the run. `seconds` in
            the result is the time since then, plus the time of the epochs of earlier
            processes.
        resumed: Number of epochs that earlier processes trained.

    Returns:
        The content of result.json, and the test images' probabilities, float32
        `(n, classes)`; None without classes or without test images. `probe_error` is
        the result of `probing.error_of`. For methods with proxy views, `proxy_accuracy`
        is the share of correctly classified images of each view, in percent.
    """
    split, log = prepared.batches.split, pd.read_csv(directory.log)
    errors, clean = evaluation.final()
    if clean is not None and prepared.learner.terms:
        errors["probe_error"] = probing.error_of(
            prepared.learner.network,
            prepared.learner.preprocessing,
            prepared.data,
            split.labeled,
            prepared.settings.evaluation.devices,
        )
    found = recognition.measure(prepared.learner, prepared.data, prepared.batches)
    result = {
        "run_dir": str(directory.path),
        **errors,
        **({"proxy_accuracy": found.accuracies()} if found else {}),
        "epoch": prepared.settings.optimization.epochs,
        **selections(log, prepared.settings.evaluation.final_weights),
        "test_images": len(prepared.data.test_images),
        "labels": len(split.labeled),
        "unlabeled": len(split.unlabeled),
        "parameters": prepared.learner.network.num_parameters,
        **{name: float(log[name].median()) for name in SPEEDS if name in log},
        "seconds": float(
            log["seconds"][:resumed].sum() + time.perf_counter() - started
        ),
        "colorizer": prepared.colorizer,
    }
    return result, clean


def selections(log: pd.DataFrame, final_weights: str | None = None) -> Result:
    """Returns the best epochs, each with a note on the images used to select it.

    Args:
        log: The log of the run.
        final_weights: Name of the weights whose errors are used; None: the student's.

    Returns:
        `best`: epoch and test error of the epoch with the lowest test error, "selected
        on test". With a validation set also `selected`: epoch and test error of the
        epoch with the lowest validation error. If errors are equal, the first epoch is
        used.
    """
    found: Result = {}
    prefix = f"{final_weights}_" if final_weights else ""
    test = f"{prefix}test_error"
    for name, column, note in (
        ("best", test, "selected on test"),
        ("selected", f"{prefix}validation_error", "selected on validation"),
    ):
        if column in log and test in log:
            row = log.loc[log[column].idxmin()]
            found[name] = {
                "epoch": int(row["epoch"]),
                "error": float(row[test]),
                "note": note,
            }
    return found


def write(
    prepared: Prepared,
    result: Result,
    probabilities: np.ndarray | None,
    directory: RunDirectory,
) -> None:
    """Writes models, samples and pictures, and result.json last.

    Args:
        prepared: The trained run.
        result: Result of `measure`.
        probabilities: Probabilities from `measure`.
        directory: The run directory.
    """
    release(prepared.learner.network.trunk)
    _save_models(prepared, probabilities, directory)
    arrays = _samples(prepared, probabilities)
    write_atomically(
        directory.samples, lambda file: np.savez_compressed(file, **arrays)
    )
    _draw(prepared, probabilities, arrays, directory)
    write_json(directory.result, result)
    # Only an unfinished run reads this file; the models contain the same statistics.
    directory.statistics.unlink(missing_ok=True)
    # The log of a method without training steps has only the first of these columns.
    if all(name in result for name in SPEEDS):
        speed, loading, busy = (result[name] for name in SPEEDS)
        logger.info(
            "speed      %s images/s trained (all views); %s images/s read, which took "
            "%.0f %% of the time",
            f"{speed:,.0f}",
            f"{loading:,.0f}",
            busy,
        )
    describe(result)


def _save_models(
    prepared: Prepared, probabilities: np.ndarray | None, directory: RunDirectory
) -> None:
    """Writes the classifier and its heads, also with each term's further weights."""
    learner, settings = prepared.learner, prepared.settings
    classes = prepared.data.classes if CLASSES in learner.network.heads else ()
    trunk = settings.model.network
    about = About(
        classes,
        hflip=settings.step.hflip,
        resize=settings.data.resize,
        test_views=settings.evaluation.test_views,
        network=trunk,
        plugin=TRUNKS.entry(trunk).plugin,
    )
    weights: dict[str | None, list] = {None: []}
    weights.update(learner.evaluated().items())
    for name, values in weights.items():
        with learner.network.replaced(values):
            model = _portable(prepared)
            known = probabilities if name is None else None
            calibrated = _calibrated(prepared, about, known)
            for suffix in SUFFIXES:
                models.save(model, directory.model(suffix, name), calibrated)
            path = models.heads_path(directory.model(weights=name))
            models.save_heads(learner.network, path)
        if name is None and calibrated.temperature is not None:
            logger.info(
                "calibrated temperature %.2f, fitted to %s",
                calibrated.temperature,
                calibrated.calibrated_on,
            )


def _calibrated(
    prepared: Prepared, about: About, probabilities: np.ndarray | None
) -> About:
    """Returns the note with the temperature and the mistakes of the network's weights.

    The temperature is fitted to the validation images. Without validation images there
    is no temperature: the network has learned the labels of the training images, and
    test labels may only be used to measure errors. Mistakes are counted on the test
    images or, if there are none, on the validation images.

    Args:
        prepared: The trained run.
        about: The note without a temperature.
        probabilities: The test images' probabilities; None: they are computed here.
    """
    images, validation = prepared.data, prepared.batches.split.validation
    if not about.classes:
        return about
    predict = functools.partial(
        evaluation.probabilities,
        prepared.classifier,
        devices=prepared.settings.evaluation.devices,
    )
    labels, counted_on = images.test_labels, f"{len(images.test_labels):,} test images"
    if len(validation):
        known = images.labels[validation]
        found = predict(data.subset(images.images, validation))
        about = dataclasses.replace(
            about,
            temperature=calibration.fit(found, known),
            calibrated_on=f"{len(known):,} validation images",
        )
    if len(labels):
        found = predict(images.test_images) if probabilities is None else probabilities
    elif len(validation):
        labels, counted_on = known, about.calibrated_on
    else:
        return about
    found = calibration.apply(found, about.temperature or 1.0)
    return dataclasses.replace(
        about, counted_on=counted_on, mistakes=calibration.mistakes(found, labels)
    )


def _portable(prepared: Prepared) -> keras.Model:
    """Returns the classifier built for one device, without adapters.

    Keras on JAX refuses to load layers with synchronised batch statistics.
    """
    settings, learner = prepared.settings, prepared.learner
    if settings.runtime.devices == 1 and not settings.model.lora_rank:
        return prepared.classifier
    image_shape = prepared.data.images.shape[1:]
    plain = dataclasses.replace(settings.model, lora_rank=None)
    network = build.build_network(
        plain, learner.terms, image_shape, len(prepared.data.classes)
    )
    release(network.trunk)
    preprocessing = build.build_preprocessing(settings.model, image_shape)
    model = inference_model(network, preprocessing)
    model.set_weights(merged_weights(prepared.classifier))
    return model


def _samples(prepared: Prepared, probabilities: np.ndarray | None) -> dict:
    """Returns the arrays of samples.npz; a report reads them instead of data and model.

    Returns:
        With test images and classes: `labels` and `predicted`, integers `(n,)`;
        `confidence` and `true_probability`, float32 `(n,)`; `mistakes`, integers
        `(k,)`, the indices of the most confident wrong predictions; `mistake_images`,
        uint8 `(k, h, w, 3)`; `mistake_files`, texts `(k,)`, the paths of these images,
        or "" for images without a file.
        With proxy views: `tasks`, texts `(t,)`, the names of the views; `views`, uint8
        `(m, t, h, w, 3)`, without noise and shift; `proxy_probabilities`, float32
        `(m, t, t)`, the proxy head's predictions for these views.
        With colourised images: `original`, `grey` and `colorized`, uint8
        `(m, h, w, 3)`.
    """
    arrays = {} if probabilities is None else _predictions(prepared.data, probabilities)
    for term in prepared.learner.terms:
        if term.proxy_tasks():
            arrays |= _proxies(prepared.learner, prepared.batches, term.proxy_tasks())
    batch = prepared.batches.batch(0)
    if COLORIZED in batch:
        images = _first(batch[UNLABELED])
        arrays["original"] = _small(images)
        arrays["grey"] = _small(metrics.gray(images))
        arrays["colorized"] = _small(_first(batch[COLORIZED]))
    return arrays


def _predictions(images: data.Data, probabilities: np.ndarray) -> dict:
    labels, rows = images.test_labels, np.arange(len(images.test_labels))
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[rows, predicted]
    wrong = np.flatnonzero(predicted != labels)
    # Stable, so that equal confidences keep the order of the images.
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return {
        "labels": labels,
        "predicted": predicted,
        "confidence": confidence,
        "true_probability": probabilities[rows, labels],
        "mistakes": mistakes,
        "mistake_images": _small(images.test_images[mistakes]),
        "mistake_files": np.array([_test_file(images, k) for k in mistakes], str),
    }


def _test_file(images: data.Data, index: int) -> str:
    """Returns a test image's path, relative to the data set's folder; "" if none."""
    if images.files is None:
        return ""
    path = os.path.relpath(images.files.test[index], images.files.root)
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _proxies(
    learner: Learner, batches: data.StepBatches, tasks: tuple[str, ...]
) -> dict:
    batch = batches.batch(0)
    sources = {
        name: _first(batch[name]) for name in (UNLABELED, COLORIZED) if name in batch
    }
    views = proxies.pictures(sources[UNLABELED], tasks, sources.get(COLORIZED))
    # Random views are drawn in the same order and with the same seed as in `pictures`,
    # so the probabilities belong to the stored views.
    seed, found = keras.random.SeedGenerator(0), {}
    for task in [name for name in own_first(PROXIES) if name in tasks]:
        images = sources[PROXIES[task].source]
        found[task] = recognition.probabilities(learner, task, images, seed)
    return {
        "tasks": np.array(tasks),
        "views": np.stack([_small(row) for row in views]),
        "proxy_probabilities": np.stack([found[task] for task in tasks], axis=1),
    }


def _first(grouped: np.ndarray) -> np.ndarray:
    """Returns the first images of an array `(groups, per group, h, w, 3)`."""
    return np.concatenate(grouped)[:PICTURED]


def _small(images: np.ndarray) -> np.ndarray:
    """Returns images `(k, h, w, 3)` at most `LARGEST_SIDE` pixels high and wide."""
    side = max(images.shape[1:3])
    if side <= LARGEST_SIDE or not len(images):
        return images
    height, width = (round(n * LARGEST_SIDE / side) for n in images.shape[1:3])
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((width, height))) for image in images]
    )


def _draw(
    prepared: Prepared,
    probabilities: np.ndarray | None,
    samples: dict,
    directory: RunDirectory,
) -> None:
    images = prepared.data
    figures = {"curves": pictures.curves(pd.read_csv(directory.log))}
    if probabilities is not None:
        figures["confusion"] = pictures.confusion(
            images.test_labels, probabilities.argmax(axis=1), images.classes
        )
    if "views" in samples:
        names = [str(task) for task in samples["tasks"]]
        figures["views"] = pictures.views(samples["views"], names)
    for name, figure in figures.items():
        pictures.save(figure, directory.pictures / f"{name}.png")


def describe(result: Result) -> None:
    """Logs a result: the error of the last epoch first, then the others."""
    if result["error"] is not None:
        logger.info("error      %s", _in_words(result))
        describe_others(result)
        if result.get("probe_error") is not None:
            logger.info(
                "probe      %.2f %%: logistic regression on the features of this run",
                result["probe_error"],
            )
    elif "proxy_error" in result:
        logger.info(
            "proxy      %.2f %% of the test views are classified as another view",
            result["proxy_error"],
        )
    if result["error"] is None and not result["test_images"]:
        logger.info("error      not measured: there are no test images")
    elif result["error"] is None:
        logger.info(
            "classes    not trained: start another run with `init_from` set to this one"
        )
    logger.info("written    %s", result["run_dir"])


def describe_others(result: Result) -> None:
    """Logs the errors of further weights (a teacher, an average) and best epochs."""
    for name, errors in result.get("further", {}).items():
        logger.info("%-10s %s", name, _in_words(errors))
    for name in ("best", "selected"):
        if name in result:
            best = result[name]
            logger.info(
                "%-10s %.2f %% at epoch %s, %s",
                name,
                best["error"],
                best["epoch"],
                best["note"],
            )


def _in_words(result: Result) -> str:
    top = f"; top-5 {result['top5_error']:.2f} %" if "top5_error" in result else ""
    return (
        f"{result['error']:.2f} % after the last epoch "
        f"({result['error_augmented']:.2f} % with test-time augmentation{top})"
    )
