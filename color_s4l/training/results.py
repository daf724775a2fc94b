"""What a finished run leaves: the model, the error rates, the pictures."""

import dataclasses

import keras
import numpy as np
import pandas as pd

from color_s4l import evaluation, pictures
from color_s4l.networks import freezing, inference_model
from color_s4l.saving import classifier_file
from color_s4l.saving.classifier_file import About
from color_s4l.saving.keras_files import SUFFIXES
from color_s4l.terms import Proxies
from color_s4l.training import samples
from color_s4l.training.fitting import preprocessing_of
from color_s4l.training.preparation import Prepared, network_of
from color_s4l.training.run_folder import RunFolder, write_json


def measure(prepared: Prepared, folder: RunFolder) -> tuple[dict, np.ndarray]:
    """Evaluates the last epoch's weights on the test images.

    Returns:
        The content of result.json, and the test images' probabilities `(n, classes)`.
    """
    run, dataset, split = prepared.run, prepared.dataset, prepared.batches.split
    log = pd.read_csv(folder.log)
    errors, clean = _errors(prepared)
    result = {
        "run_dir": str(folder.path),
        **errors,
        "epoch": run.epochs,
        **_further_errors(prepared),
        **selections(log),
        "test_images": len(dataset.test_images),
        "labels": len(split.labeled),
        "unlabeled": len(split.unlabeled),
        "parameters": prepared.learner.network.num_parameters,
        "images_per_second": float(log["images_per_second"].median()),
        "colorizer": prepared.colorizer,
    }
    return result, clean


def _errors(prepared: Prepared) -> tuple[dict[str, float], np.ndarray]:
    """Error rates of the weights as they are, and the clean probabilities."""
    run, dataset = prepared.run, prepared.dataset
    model, images, devices = prepared.classifier, dataset.test_images, run.devices
    clean = evaluation.probabilities(model, images, devices=devices)
    augmented = evaluation.augmented_probabilities(
        model, images, hflip=run.hflip, devices=devices
    )
    errors = {
        "error": evaluation.error_rate(clean, dataset.test_labels),
        "error_augmented": evaluation.error_rate(augmented, dataset.test_labels),
    }
    return errors, clean


def _further_errors(prepared: Prepared) -> dict[str, dict[str, dict[str, float]]]:
    """`further`: the error rates of each of the further weights, by their name."""
    learner, found = prepared.learner, {}
    for name, values in learner.evaluated().items():
        with learner.network.replaced(values):
            found[name], _ = _errors(prepared)
    return {"further": found} if found else {}


def write(
    prepared: Prepared, result: dict, probabilities: np.ndarray, folder: RunFolder
) -> None:
    """Writes models, samples, pictures; result.json last: then the run is complete."""
    freezing.release(prepared.learner.network.trunk)
    _save_models(prepared, folder)
    samples.save(prepared, probabilities, folder)
    _draw(prepared, probabilities.argmax(axis=1), folder)
    write_json(folder.result, result)
    describe(result)


def _save_models(prepared: Prepared, folder: RunFolder) -> None:
    """Writes the classifier, and one with each of the further weights."""
    learner = prepared.learner
    run = prepared.run
    about = About(prepared.dataset.classes, hflip=run.hflip, fit=run.fit)
    for name, values in {None: [], **learner.evaluated()}.items():
        with learner.network.replaced(values):
            model = _portable(prepared)
            for suffix in SUFFIXES:
                classifier_file.save(model, folder.model(suffix, name), about)


def _portable(prepared: Prepared) -> keras.Model:
    """The classifier as one device's: Keras refuses synchronised layers on JAX."""
    if prepared.run.devices == 1:
        return prepared.classifier
    learner = prepared.learner
    alone = dataclasses.replace(prepared.run, devices=1, freeze_blocks=0)
    network = network_of(alone, learner.terms, prepared.dataset)
    model = inference_model(network, preprocessing_of(alone, prepared.dataset, {}))
    model.set_weights(prepared.classifier.get_weights())
    return model


def selections(log: pd.DataFrame) -> dict:
    """The best epochs, each marked with what it was selected on.

    Args:
        log: The run's log.

    Returns:
        `best`: epoch and test error of the lowest test error, marked "selected on
        test"; with a validation set `selected`: those of the lowest validation
        error (the first, of several).
    """
    found = {}
    for name, column, marked in (
        ("best", "test_error", "selected on test"),
        ("selected", "validation_error", "selected on validation"),
    ):
        if column in log:
            row = log.loc[log[column].idxmin()]
            found[name] = {
                "epoch": int(row["epoch"]),
                "error": float(row["test_error"]),
                "note": marked,
            }
    return found


def _draw(prepared: Prepared, predicted: np.ndarray, folder: RunFolder) -> None:
    dataset = prepared.dataset
    figures = {
        "curves": pictures.curves(pd.read_csv(folder.log)),
        "confusion": pictures.confusion(
            dataset.test_labels, predicted, dataset.classes
        ),
    }
    for term in prepared.learner.terms:
        if isinstance(term, Proxies):
            rows = samples.views(prepared.batches, term.tasks)
            figures["views"] = pictures.views(rows, [*term.tasks])
    for name, figure in figures.items():
        pictures.save(figure, folder.pictures / f"{name}.png")


def describe(result: dict) -> None:
    """Prints a result: the last epoch is the headline, the best ones stand below."""
    print(
        f"error      {result['error']:.2f} % after the last epoch "
        f"({result['error_augmented']:.2f} % with test-time augmentation)"
    )
    for name, errors in result.get("further", {}).items():
        print(
            f"{name:<10} {errors['error']:.2f} % after the last epoch "
            f"({errors['error_augmented']:.2f} % with test-time augmentation)"
        )
    for name in ("best", "selected"):
        if name in result:
            best = result[name]
            where = f"at epoch {best['epoch']}, {best['note']}"
            print(f"{name:<10} {best['error']:.2f} % {where}")
    print(f"written    {result['run_dir']}", flush=True)
