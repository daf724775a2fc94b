"""What is measured: how often the network takes a test image for another class.

A run without classes (rotations alone, say) is measured by its proxy task.
"""

import functools
from collections.abc import Callable

import numpy as np

from color_s4l import data
from color_s4l.networks.network import CLASSES
from color_s4l.terms import Proxies
from color_s4l.training import evaluation
from color_s4l.training.evaluation import ProxyGuesses
from color_s4l.training.preparation import Prepared

Measure = Callable[[], float]


def of_epoch(prepared: Prepared) -> dict[str, Measure]:
    """What is measured after each epoch, by its name in the log."""
    if CLASSES not in prepared.learner.network.heads:
        return {f"test_{name}": error for name, error in _proxies(prepared).items()}
    dataset, held_out = prepared.dataset, prepared.batches.split.validation

    def error(images, labels) -> Measure:
        devices = prepared.run.devices
        return lambda: evaluation.error_rate(
            evaluation.probabilities(prepared.classifier, images, devices=devices),
            labels,
        )

    found = {"test_error": error(dataset.test_images, dataset.test_labels)}
    if len(held_out):
        images = data.subset(dataset.images, held_out)
        labels = dataset.labels[held_out]
        found["validation_error"] = error(images, labels)
    for name in prepared.learner.evaluated():
        found[f"{name}_test_error"] = _of_weights(name, found["test_error"], prepared)
    return found


def _proxies(prepared: Prepared) -> dict[str, Measure]:
    """The error rate on the proxy task, where there is one."""
    learner = prepared.learner
    images, devices = prepared.dataset.test_images, prepared.run.devices
    for term in learner.terms:
        if isinstance(term, Proxies):
            guesses = ProxyGuesses(learner.network, learner.preprocessing, term.tasks)
            error = functools.partial(guesses.error_rate, images, devices=devices)
            return {"proxy_error": error}
    return {}


def _of_weights(name: str, error: Measure, prepared: Prepared) -> Measure:
    """The same error rate with further weights in place of the student's."""

    def measured() -> float:
        learner = prepared.learner
        with learner.network.replaced(learner.evaluated()[name]):
            return error()

    return measured


def at_the_end(prepared: Prepared) -> tuple[dict, np.ndarray | None]:
    """The error rates for result.json, and the clean probabilities `(n, classes)`.

    A run without classes has None in their place, and for `error`.
    """
    if CLASSES not in prepared.learner.network.heads:
        found = {name: error() for name, error in _proxies(prepared).items()}
        return {"error": None, "error_augmented": None, **found}, None
    errors, clean = _errors(prepared)
    learner, further = prepared.learner, {}
    for name, values in learner.evaluated().items():
        with learner.network.replaced(values):
            further[name], _ = _errors(prepared)
    return errors | ({"further": further} if further else {}), clean


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
