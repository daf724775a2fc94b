"""Compares suggested with random labels: python -m benchmarks.labeling.

Writes a built-in data set as image files and starts with a few random labels of every
class. In each round, further images get their true labels, and the classifier is
trained again. The experiment has two arms: in the arm "suggested",
`color_s4l.predict --suggest` chooses the images; in the arm "random", the same number
of images is drawn at random. Writes a table with the test error after each round.
"""

import dataclasses
import pathlib
import tempfile
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks import origin
from color_s4l import command_line, fields
from color_s4l.fields import AtLeast, option

if typing.TYPE_CHECKING:
    from color_s4l.data import Data

ARMS = ("suggested", "random")


@dataclasses.dataclass(frozen=True)
class Labeling:
    """The flags of the command."""

    dataset: str = option("drawings", "A data set that is read without a download.")
    image_size: Annotated[int, AtLeast(16)] = option(24, "Side of the images (px).")
    method: str = option("supervised", "Method of the training.")
    width: float = option(0.25, "Factor on the number of filters of the trunk.")
    per_class: Annotated[int, AtLeast(1)] = option(4, "First labels of each class.")
    added: Annotated[int, AtLeast(1)] = option(40, "Labels added in each round.")
    rounds: Annotated[int, AtLeast(1)] = option(3, "Rounds after the first training.")
    epochs: Annotated[int, AtLeast(1)] = option(40, "Passes over the labelled images.")
    seeds: str = option("1,2,3", "Comma-separated.")
    output: str = option("labeling.csv", "Table, one row per arm, seed and round.")


def labeling(flags: Labeling) -> pd.DataFrame:
    """Trains with suggested and with random labels; writes the table.

    Returns:
        One row per arm, seed and round: `arm`, `seed`, `labels`, `error` in percent.

    Raises:
        InputError: A flag is wrong.
    """
    fields.check(flags)
    seeds = origin.numbers("seeds", flags.seeds)
    output = origin.output_file(flags.output)
    dataset = read_images(flags)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        truth = write_images(dataset, folder / "images")
        for seed in seeds:
            for arm in ARMS:
                for labels, error in rounds(flags, folder, truth, arm, seed):
                    row = {"arm": arm, "seed": seed, "labels": labels, "error": error}
                    print(f"{arm:<10} seed {seed}  {labels} labels  {error:.1f} %")
                    rows.append({**row, **origin.columns(flags, ["CPU"])})
    table = pd.DataFrame(rows)
    origin.write_csv(table, output)
    means = table.groupby(["labels", "arm"])["error"].agg(["mean", "std"]).round(1)
    print(f"{means}\nwritten    {output}", flush=True)
    return table


def read_images(flags: Labeling) -> "Data":
    """Returns the data set."""
    from color_s4l import data
    from color_s4l.settings import DataSettings

    return data.load(DataSettings(flags.dataset, image_size=flags.image_size))


def write_images(dataset: "Data", folder: pathlib.Path) -> dict[str, str]:
    """Writes the training images without labels, and the test images with labels.

    Args:
        dataset: The data set.
        folder: A new folder: `unlabeled/NUMBER.png` and `test/CLASS/NUMBER.png`.

    Returns:
        Number of a training image, as text -> name of its class.
    """
    names = dataset.classes
    for number, image in enumerate(dataset.images):
        _save(image, folder / "unlabeled" / f"{number:05d}.png")
    pairs = zip(dataset.test_images, dataset.test_labels, strict=True)
    for number, (image, label) in enumerate(pairs):
        _save(image, folder / "test" / names[label] / f"{number:05d}.png")
    return {f"{k:05d}": names[label] for k, label in enumerate(dataset.labels)}


def _save(image: np.ndarray, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def settings(flags: Labeling) -> dict[str, typing.Any]:
    """Returns the settings of every training: the preset "fast" with small batches."""
    from color_s4l.settings import PRESETS

    return {
        **PRESETS["fast"],
        "dataset": "folder",
        "image_size": flags.image_size,
        "method": flags.method,
        "width": flags.width,
        "epochs": flags.epochs,
        "evaluate_every": flags.epochs,
        "labeled_only": flags.method == "supervised",
        "batch_size": 16,
        "labeled_batch": 64,
        "final_weights": None,
        "dtype_policy": "float32",
        "verbosity": 0,
    }


def rounds(
    flags: Labeling,
    folder: pathlib.Path,
    truth: Mapping[str, str],
    arm: str,
    seed: int,
) -> list[tuple[int, float]]:
    """Trains, adds labels and trains again.

    Args:
        flags: The command's flags.
        folder: Folder with `images`, the result of `write_images`.
        truth: Classes of the training images.
        arm: "suggested" or "random".
        seed: Seed of the first labels, the random labels and the training.

    Returns:
        Number of labels and test error in percent after each training.
    """
    from color_s4l.predict import Predict, predict
    from color_s4l.recipes.procedure import fit
    from color_s4l.settings import Run

    images = folder / "images"
    order = np.random.default_rng(seed).permutation(sorted(truth)).tolist()
    classes = sorted(set(truth.values()))
    of_class = {k: [name for name in order if truth[name] == k] for k in classes}
    first = [name for k in classes for name in of_class[k][: flags.per_class]]
    others = [name for name in order if name not in set(first)]
    found = []
    table = _write_labels(folder / f"{arm}_{seed}_0.csv", images, first, truth)
    for number in range(flags.rounds + 1):
        run_dir = str(folder / f"{arm}_{seed}_{number}")
        result = fit(
            Run(
                **settings(flags),
                data_dir=str(images),
                labels_csv=str(table),
                seed=seed,
                run_dir=run_dir,
            )
        )
        found.append((result["labels"], result["error"]))
        if number == flags.rounds:
            break
        following = folder / f"{arm}_{seed}_{number + 1}.csv"
        if arm == "random":
            count = (number + 1) * flags.added
            names = [*first, *others[:count]]
            table = _write_labels(following, images, names, truth)
            continue
        predict(
            Predict(
                model=run_dir,
                images=str(images / "unlabeled"),
                output=f"{run_dir}.predictions.csv",
                suggest=flags.added,
                suggestions=str(following),
                labels_csv=str(table),
            )
        )
        rows = pd.read_csv(following, dtype=str, keep_default_na=False)
        names = [pathlib.Path(name).stem for name in rows["filename"]]
        table = _write_labels(following, images, names, truth)
    return found


def _write_labels(
    path: pathlib.Path,
    images: pathlib.Path,
    names: Sequence[str],
    truth: Mapping[str, str],
) -> pathlib.Path:
    """Writes a table with the true labels of training images; returns its path."""
    files = [str(images / "unlabeled" / f"{name}.png") for name in names]
    labels = [truth[name] for name in names]
    table = pd.DataFrame({"filename": files, "label": labels})
    origin.write_csv(table, path)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(labeling, Labeling, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
