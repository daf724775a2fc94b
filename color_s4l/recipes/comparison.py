"""Compares a run with a baseline that is trained only on the labelled images.

The comparison shows whether the unlabelled images helped. The baseline has the same
trunk, initial weights, labelled images and number of steps. Both classifiers are
evaluated on the same test images, and the difference of their errors has a confidence
interval from a paired bootstrap (Efron & Tibshirani 1993, "An Introduction to the
Bootstrap"). Without test images, both are trained again in a cross-validation over the
labelled images.

The interval shows how much the difference depends on the choice of the evaluated
images. It does not show how much it depends on random draws of the training: another
seed can give another difference.
"""

import dataclasses
import logging
import pathlib
import typing
from collections.abc import Sequence

import keras
import numpy as np

from color_s4l import data, methods
from color_s4l import settings as run_settings
from color_s4l.artifacts import models, run_directory
from color_s4l.artifacts.files import read_arrays, write_json
from color_s4l.artifacts.run_directory import Result, RunDirectory
from color_s4l.errors import InputError
from color_s4l.networks.network import CLASSES
from color_s4l.recipes.recipe import SPLIT_BY_FILE
from color_s4l.registry import TERMS
from color_s4l.settings import DataSettings, Run, SplitSettings, part, with_method
from color_s4l.terms.term import Term
from color_s4l.training import evaluation, session
from color_s4l.training.inputs import split_of
from color_s4l.views.step import UNLABELED

logger = logging.getLogger(__name__)

# Directory inside the run directory, and key of the comparison in result.json.
FOLDER = "compared"
BASELINE = "labels_only"
METHOD = "supervised"
# A small number of folds, because each fold trains two more runs.
FOLDS = 3
SEED = 0
RESAMPLES = 10_000
# Percentiles of the resampled differences that bound the 95 % interval.
BOUNDS = (2.5, 97.5)


class Train(typing.Protocol):
    """The function that trains a run or a recipe."""

    def __call__(
        self,
        run: Run,
        images: data.Data,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        *,
        shared_process: bool = False,
    ) -> Result:
        """Trains a run or a recipe; returns the content of result.json."""


def check(run: Run, terms: Sequence[Term] | None) -> None:
    """Checks that a run can be compared.

    Args:
        run: The run.
        terms: Its terms; None for a recipe.

    Raises:
        InputError: The method uses no unlabelled images, or trains no classifier.
    """
    if terms is None:
        return
    if not methods.copies_of(terms, UNLABELED):
        raise InputError(
            "`compare` needs a method that uses unlabelled images. "
            f"Received: `method`={run.method}."
        )
    if CLASSES not in methods.heads_of(terms, num_classes=2):
        raise InputError(
            f"`compare` needs a method that trains a classifier. "
            f"Received: `method`={run.method}."
        )


def compared(
    run: Run,
    images: data.Data | None,
    callbacks: Sequence[keras.callbacks.Callback],
    train: Train,
) -> Result:
    """Trains a run and its baseline, and adds the comparison to result.json.

    Runs that are complete are not trained again.

    Args:
        run: The run; `check` accepts it.
        images: The images; None: they are read.
        callbacks: Further Keras callbacks of the run; the baseline has none.
        train: Function that trains a run or a recipe.

    Returns:
        The content of result.json. `compared` holds `method` (of the baseline),
        `error` and `baseline_error` in percent, `difference` (`baseline_error` minus
        `error`, in percentage points), `low` and `high`, the ends of its 95 % interval,
        `images` (the number of evaluated images), `folds` (the number of folds; None
        with test images) and `sentence`, the outcome in words.

    Raises:
        InputError: A setting is wrong or a loss is not finite, as in `procedure.fit`;
            or there are no test images and a class has fewer than 2 labelled images; or
            a recipe trains no classes.
    """
    directory = run_directory.claim(run_settings.to_json(run), keras.backend.backend())
    session.start(run)
    if images is None:
        images = data.load(part(run, DataSettings))
    folds = None if len(images.test_images) else _folds(run, images, directory)
    result = train(run, images, callbacks, shared_process=True)
    session.free_memory()
    baseline = labels_only(run, directory, result)
    logger.info("\ncompared   with %s on the labels only", baseline.method)
    if folds is None:
        train(baseline, images, shared_process=True)
        wrong = [_wrong(one) for one in (directory, _directory_of(baseline))]
    else:
        wrong = _cross_validated((run, baseline), folds, images, directory, train)
    session.free_memory()
    found = {"method": baseline.method, **difference(*wrong)}
    found |= {"folds": folds and len(folds), "images": len(wrong[0])}
    result = {**result, FOLDER: found}
    write_json(directory.result, result)
    logger.info("compared   %s", found["sentence"])
    return result


def _directory_of(run: Run) -> RunDirectory:
    return RunDirectory(pathlib.Path(run.run_dir or ""))


def labels_only(run: Run, directory: RunDirectory, result: Result) -> Run:
    """Returns the baseline of a run: the method `supervised`, on the same labels.

    The baseline of a method has as many labelled images per step and as many steps as
    the run. If the final weights of the run are an average (`polyak`), those of the
    baseline are an average too. The baseline of a recipe has as many steps as all
    stages together, and the setting `labeled_batch` of the run.

    Args:
        run: The run.
        directory: Its run directory, complete.
        result: Content of its result.json.
    """
    place = str(directory.path / FOLDER / BASELINE)
    if run.recipe:
        own = tuple(word for word in run.set if word.startswith(f"{METHOD}."))
        epochs = _epochs_of_all_stages(run, directory, result)
        return with_method(
            run, METHOD, set=own, epochs=epochs, run_dir=place, resume=True
        )
    terms = methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    kept = {TERMS.name_of(type(term)): term for term in terms if _kept(term, run)}
    averaged = [name for name in kept if name != METHOD]
    settings = run_directory.read_config(directory)["settings"]
    return with_method(
        run,
        "+".join([METHOD, *averaged]),
        set=tuple(word for term in kept.values() for word in methods.changes_of(term)),
        final_weights=run.final_weights if averaged else None,
        labeled_batch=settings["labeled_batch"],
        run_dir=place,
        resume=True,
    )


def _kept(term: Term, run: Run) -> bool:
    """Returns whether the baseline keeps this term of the run."""
    if TERMS.name_of(type(term)) == METHOD:
        return True
    averages = run.final_weights in term.further_weights()
    return averages and not methods.copies_of([term], UNLABELED)


def _epochs_of_all_stages(run: Run, directory: RunDirectory, result: Result) -> int:
    """Returns the epochs of a run that has as many steps as all stages together."""
    steps = 0
    for stage in result["stages"]:
        config = run_directory.read_config(
            RunDirectory(directory.path / stage["stage"])
        )
        settings = config["settings"]
        each = data.steps_per_epoch(stage["unlabeled"], settings["batch_size"])
        steps += settings["epochs"] * each
    own = data.steps_per_epoch(result["stages"][0]["unlabeled"], run.batch_size)
    return max(1, round(steps / own))


def _wrong(directory: RunDirectory) -> np.ndarray:
    """Returns which test images a complete run misclassifies, bool `(n,)`."""
    samples = read_arrays(directory.samples)
    if "predicted" not in samples:
        raise InputError("`compare` needs a recipe that trains a classifier.")
    return samples["predicted"] != samples["labels"]


def _folds(
    run: Run, images: data.Data, directory: RunDirectory
) -> list[tuple[data.Split, np.ndarray]]:
    """Returns a split for each fold, and the indices of its held-out images.

    The held-out images are validation images: they are not among the unlabelled images
    either.
    """
    from sklearn.model_selection import StratifiedKFold

    # A directory without split.csv, so that the split is made from the settings. The
    # split.csv of a finished recipe is the split of its last stage.
    nowhere = RunDirectory(directory.path / FOLDER)
    split = split_of(images, part(run, SplitSettings), nowhere)
    labels = images.labels[split.labeled]
    fewest = int(np.unique(labels, return_counts=True)[1].min())
    if fewest < 2:
        raise InputError(
            "`compare` without test images needs at least 2 labelled images of each "
            f"class. Received: {fewest}."
        )
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=SEED)
    found = []
    for kept, held in folds.split(labels, labels):
        out = split.labeled[held]
        one = data.Split(
            split.labeled[kept],
            np.setdiff1d(split.unlabeled, out),
            np.union1d(split.validation, out),
        )
        found.append((one, out))
    return found


def _cross_validated(
    runs: Sequence[Run],
    folds: Sequence[tuple[data.Split, np.ndarray]],
    images: data.Data,
    directory: RunDirectory,
    train: Train,
) -> list[np.ndarray]:
    """Returns for each run which held-out images of all folds it misclassifies."""
    wrong: list[list[np.ndarray]] = [[] for _ in runs]
    for number, (split, out) in enumerate(folds, start=1):
        folder = directory.path / FOLDER / f"fold_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        data.save_split(split, images, folder / "split.csv")
        for run, name, found in zip(runs, ("run", BASELINE), wrong, strict=True):
            logger.info("\nfold       %s of %s: %s", number, len(folds), name)
            changes: dict[str, typing.Any] = {
                **SPLIT_BY_FILE,
                "split_file": str(folder / "split.csv"),
                "run_dir": str(folder / name),
                "resume": True,
                "compare": False,
            }
            one = dataclasses.replace(run, **changes)
            train(one, images, shared_process=True)
            model, about = models.load(_directory_of(one).model())
            if not about.classes:
                raise InputError("`compare` needs a recipe that trains a classifier.")
            held = data.subset(images.images, out)
            predicted = evaluation.probabilities(model, held).argmax(axis=1)
            found.append(predicted != images.labels[out])
            session.free_memory()
    return [np.concatenate(found) for found in wrong]


def difference(wrong: np.ndarray, baseline: np.ndarray) -> Result:
    """Returns the difference of two error rates with its 95 % interval.

    A resample of a paired bootstrap draws images with replacement. The difference of
    the errors depends on two numbers: the drawn images that only the run misclassifies,
    and the drawn images that only the baseline misclassifies. These numbers have a
    multinomial distribution and are drawn from it directly.

    Args:
        wrong: Which images the run misclassifies, bool `(n,)`.
        baseline: The same for the baseline.

    Returns:
        `error`, `baseline_error`, `difference`, `low`, `high` and `sentence`, as in
        `compared`.
    """
    better, worse = np.mean(baseline & ~wrong), np.mean(wrong & ~baseline)
    drawn = np.random.default_rng(SEED).multinomial(
        len(wrong), [better, worse, max(0.0, 1 - better - worse)], RESAMPLES
    )
    low, high = np.percentile(100 * (drawn[:, 0] - drawn[:, 1]) / len(wrong), BOUNDS)
    found = {
        "error": 100 * float(np.mean(wrong)),
        "baseline_error": 100 * float(np.mean(baseline)),
        "difference": 100 * float(better - worse),
        "low": float(low),
        "high": float(high),
    }
    return {**found, "sentence": _sentence(found)}


def _sentence(found: Result) -> str:
    low, high, change = found["low"], found["high"], found["difference"]
    if low > 0:
        return (
            f"The unlabelled images lowered the error by {change:.1f} points "
            f"(95 % interval {low:.1f} to {high:.1f})."
        )
    if high < 0:
        return (
            f"The unlabelled images raised the error by {-change:.1f} points "
            f"(95 % interval {-high:.1f} to {-low:.1f})."
        )
    return (
        f"The unlabelled images did not help measurably: the error is "
        f"{found['error']:.1f} % with them and {found['baseline_error']:.1f} % without "
        f"them (95 % interval of the difference {low:.1f} to {high:.1f} points)."
    )
