"""What a finished run leaves: the model, the error rates, the pictures."""

import dataclasses

import keras
import numpy as np
import pandas as pd

from color_s4l.artifacts import classifier_file, heads, pictures
from color_s4l.artifacts.classifier_file import About
from color_s4l.artifacts.files import write_json
from color_s4l.artifacts.keras_files import SUFFIXES
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.networks import freezing, inference_model
from color_s4l.networks.network import CLASSES
from color_s4l.terms import Proxies
from color_s4l.training import measures, samples
from color_s4l.training.fitting import preprocessing_of
from color_s4l.training.preparation import Prepared, network_of

# Columns of the log; of a run their medians are told.
_SPEEDS = ("images_per_second", "loading_images_per_second", "loading_busy")


def measure(prepared: Prepared, folder: RunFolder) -> tuple[dict, np.ndarray | None]:
    """Evaluates the last epoch's weights on the test images.

    Returns:
        The content of result.json, and the test images' probabilities `(n, classes)`;
        None where no classes were learned.
    """
    dataset, split = prepared.dataset, prepared.batches.split
    log = pd.read_csv(folder.log)
    errors, clean = measures.at_the_end(prepared)
    result = {
        "run_dir": str(folder.path),
        **errors,
        "epoch": prepared.run.epochs,
        **selections(log),
        "test_images": len(dataset.test_images),
        "labels": len(split.labeled),
        "unlabeled": len(split.unlabeled),
        "parameters": prepared.learner.network.num_parameters,
        **{name: float(log[name].median()) for name in _SPEEDS},
        "colorizer": prepared.colorizer,
    }
    return result, clean


def write(
    prepared: Prepared,
    result: dict,
    probabilities: np.ndarray | None,
    folder: RunFolder,
) -> None:
    """Writes models, samples, pictures; result.json last: then the run is complete."""
    freezing.release(prepared.learner.network.trunk)
    _save_models(prepared, folder)
    samples.save(prepared, probabilities, folder)
    _draw(prepared, probabilities, folder)
    write_json(folder.result, result)
    speed, loading, busy = (result[name] for name in _SPEEDS)
    print(
        f"speed      {speed:,.0f} images/s trained, views counted; {loading:,.0f} "
        f"images/s read, which took {busy:.0f} % of the time"
    )
    describe(result)


def _save_models(prepared: Prepared, folder: RunFolder) -> None:
    """Writes the classifier, and one with each of the further weights."""
    learner = prepared.learner
    known, run = CLASSES in learner.network.heads, prepared.run
    classes = prepared.dataset.classes if known else ()
    about = About(classes, hflip=run.hflip, fit=run.fit)
    for name, values in {None: [], **learner.evaluated()}.items():
        with learner.network.replaced(values):
            model = _portable(prepared)
            for suffix in SUFFIXES:
                classifier_file.save(model, folder.model(suffix, name), about)
            heads.save(learner.network, heads.path_beside(folder.model(weights=name)))


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


def _draw(
    prepared: Prepared, probabilities: np.ndarray | None, folder: RunFolder
) -> None:
    dataset = prepared.dataset
    figures = {"curves": pictures.curves(pd.read_csv(folder.log))}
    if probabilities is not None:
        figures["confusion"] = pictures.confusion(
            dataset.test_labels, probabilities.argmax(axis=1), dataset.classes
        )
    for term in prepared.learner.terms:
        if isinstance(term, Proxies):
            rows = samples.views(prepared.batches, term.tasks)
            figures["views"] = pictures.views(rows, [*term.tasks])
    for name, figure in figures.items():
        pictures.save(figure, folder.pictures / f"{name}.png")


def describe(result: dict) -> None:
    """Prints a result: the last epoch is the headline, the others stand below."""
    if result["error"] is None:
        _describe_encoder(result)
    else:
        print(f"error      {_errors(result)}")
        describe_others(result)
    print(f"written    {result['run_dir']}", flush=True)


def describe_others(result: dict) -> None:
    """Prints the errors of further weights, and of the best epochs."""
    for name, errors in result.get("further", {}).items():
        print(f"{name:<10} {_errors(errors)}")
    for name in ("best", "selected"):
        if name in result:
            best = result[name]
            where = f"at epoch {best['epoch']}, {best['note']}"
            print(f"{name:<10} {best['error']:.2f} % {where}", flush=True)


def _errors(result: dict) -> str:
    return (
        f"{result['error']:.2f} % after the last epoch "
        f"({result['error_augmented']:.2f} % with test-time augmentation)"
    )


def _describe_encoder(result: dict) -> None:
    """Of a run that has learned no classes."""
    if "proxy_error" in result:
        error = result["proxy_error"]
        print(f"proxy task {error:.2f} % of the test views are taken for another")
    print("classes    none learned: a beginning for others (--init_from)")
