"""What a run reads before it computes anything, and says of it before it does."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from color_s4l import backend, data, methods
from color_s4l.artifacts.run_directory import RunFolder, read_config
from color_s4l.networks import Network, freezing
from color_s4l.settings import Run
from color_s4l.terms import Term
from color_s4l.training import colors, preparation
from color_s4l.training.given import contents
from color_s4l.training.given.contents import Contents
from color_s4l.views.step import LABELED, UNLABELED


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Read, checked, and the same whenever the run goes on.

    Attributes:
        dataset: The images.
        split: Which of them are labelled, unlabelled, held out.
        contents: Of the other files.
        targets: Classes of the unlabelled images, as an earlier training took them
            for, float32 `(unlabelled images, classes)`; None: none needed.
    """

    dataset: data.Data
    split: data.Split
    contents: Contents
    targets: np.ndarray | None


def read(
    run: Run,
    terms: Sequence[Term],
    folder: RunFolder,
    dataset: data.Data | None = None,
) -> Inputs:
    """Reads the small files first: what is wrong with them shows at once.

    Args:
        run: Checked.
        terms: Its method's.
        folder: Of a run that may go on.
        dataset: The images; None: they are read here.

    Returns:
        Everything.

    Raises:
        InputError: Something is missing, damaged, or does not fit; or the run began
            with files of another content.
    """
    files = contents.read(run, colors=colors.needed(terms))
    if folder.config.exists():
        contents.check_same(run, files, read_config(folder))
    if dataset is None:
        print(f"reading    {run.dataset}", flush=True)
        dataset = data.load_source(run)
    split = preparation.split_of(run, dataset, folder)
    labels = files.pseudo_labels
    targets = labels.of(dataset, split.unlabeled) if labels else None
    return Inputs(dataset, split, files, targets)


def announce(
    run: Run, given: Inputs, terms: Sequence[Term], network: Network, folder: RunFolder
) -> None:
    """Prints one line on each: method, images, labels, classes, network, steps, ...

    Args:
        run: Resolved.
        given: The images and their split.
        terms: The method's.
        network: Built.
        folder: Where the results will be.
    """
    dataset, split = given.dataset, given.split
    size = dataset.images.shape[1]
    steps = data.steps_per_epoch(len(split.unlabeled), run.batch_size)
    views = methods.copies_of(terms, UNLABELED)
    draws = 0
    if methods.copies_of(terms, LABELED):
        draws = preparation.labeled_batch(run, terms)
    names = " + ".join(type(term).__name__ for term in terms)
    lines = {
        "method": f"{run.method} = {names}",
        "images": f"{dataset.name}, {size} px, {len(dataset.classes)} classes: "
        f"{len(dataset.images):,} to train on, {len(dataset.test_images):,} to test on",
        "labels": f"{len(split.labeled):,} labelled, "
        f"{len(split.unlabeled):,} unlabelled, {len(split.validation):,} held out",
        "classes": data.described(dataset.labels[split.labeled], dataset.classes),
        "network": f"{run.network}, width {run.width:g}, "
        f"{network.num_parameters:,} parameters{_beginning(run)}",
        "steps": f"{run.epochs} epochs x {steps:,}; each {draws} labelled images and "
        f"{run.batch_size * views} views of {run.batch_size} unlabelled ones",
        "devices": f"{run.devices} x {backend.device_names()[0]}, "
        f"{keras.backend.backend()}, {run.dtype_policy}",
        "results": str(folder.path),
    }
    for name, text in lines.items():
        print(f"{name:<10} {text}", flush=True)
    shown = dataset.labels[split.labeled]
    if not run.balance and data.imbalanced(shown, dataset.classes):
        print(
            "warning    the largest class has more than 10 times the labelled images "
            "of the smallest: --balance makes the class loss count them alike",
            flush=True,
        )


def _beginning(run: Run) -> str:
    """What is said of a network that does not begin from nothing."""
    start = f", as {run.init_from} left them" if run.init_from else ""
    if not run.freeze_blocks:
        return start
    blocks = "all" if run.freeze_blocks == freezing.ALL else run.freeze_blocks
    return f"{start}, {blocks} blocks frozen"
