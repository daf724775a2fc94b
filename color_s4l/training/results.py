"""What a finished run leaves: the model, the error rates, the pictures."""

import keras
import numpy as np
import pandas as pd

from color_s4l import data, evaluation, pictures
from color_s4l.config import Run
from color_s4l.files import h5_wanted, save_atomically
from color_s4l.terms import Proxies
from color_s4l.training.learner import Learner
from color_s4l.training.run_folder import RunFolder, write_json
from color_s4l.views.geometric import GEOMETRIC

PICTURED = 8


def write(
    run: Run,
    learner: Learner,
    classifier: keras.Model,
    dataset: data.Dataset,
    batches: data.StepBatches,
    folder: RunFolder,
) -> dict:
    """Evaluates the last epoch's weights and writes everything; result.json last.

    Returns:
        The content of result.json.
    """
    log = pd.read_csv(folder.log)
    for suffix in (".keras", ".h5"):
        save_model(classifier, folder.model(suffix))
    clean = evaluation.probabilities(classifier, dataset.test_images)
    augmented = evaluation.augmented_probabilities(
        classifier, dataset.test_images, hflip=run.hflip, seed=run.seed
    )
    result = {
        "run_dir": str(folder.path),
        "error": evaluation.error_rate(clean, dataset.test_labels),
        "error_augmented": evaluation.error_rate(augmented, dataset.test_labels),
        "epoch": run.epochs,
        **selections(log),
        "test_images": len(dataset.test_images),
        "labels": len(batches.split.labeled),
        "unlabeled": len(batches.split.unlabeled),
        "parameters": learner.network.count_params(),
        "images_per_second": float(log["images_per_second"].median()),
    }
    _draw(learner, dataset, batches, clean, log, folder)
    write_json(folder.result, result)
    describe(result)
    return result


def save_model(model: keras.Model, path) -> None:
    """Writes a Keras file, .keras or .h5 by its ending, whole or not at all."""
    with h5_wanted():
        save_atomically(path, lambda name: model.save(name))


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


def _draw(learner, dataset, batches, probabilities, log, folder) -> None:
    predicted = probabilities.argmax(axis=1)
    figures = {
        "curves": pictures.curves(log),
        "confusion": pictures.confusion(
            dataset.test_labels, predicted, dataset.classes
        ),
    }
    for term in learner.terms:
        if isinstance(term, Proxies):
            figures["views"] = pictures.views(
                _views(batches, term.tasks), [*term.tasks]
            )
    for name, figure in figures.items():
        pictures.save(figure, folder.pictures / f"{name}.png")


def _views(batches: data.StepBatches, tasks: tuple[str, ...]) -> list[list[np.ndarray]]:
    """The first images' views, before preprocessing, so that a person sees them."""
    batch = batches.batch(0)
    count = min(PICTURED, len(batch["unlabeled"]))
    made = {
        name: np.asarray(keras.ops.convert_to_numpy(turn(batch["unlabeled"][:count])))
        for name, turn in GEOMETRIC.items()
    }
    if "colorized" in batch:
        made["colorized"] = batch["colorized"][:count]
    return [[made[task][row] for task in tasks] for row in range(count)]


def describe(result: dict) -> None:
    """Prints a result: the last epoch is the headline, the best ones stand below."""
    print(
        f"error      {result['error']:.2f} % after the last epoch "
        f"({result['error_augmented']:.2f} % with test-time augmentation)"
    )
    for name in ("best", "selected"):
        if name in result:
            best = result[name]
            where = f"at epoch {best['epoch']}, {best['note']}"
            print(f"{name:<10} {best['error']:.2f} % {where}")
    print(f"written    {result['run_dir']}", flush=True)
