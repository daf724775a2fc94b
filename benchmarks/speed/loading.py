"""Photographs read beside the step: python -m benchmarks.speed.loading.

Cuts JPEG photographs out of scikit-learn's two, trains on them as a user does, once for
each size and each `--cache`, and writes a row of what every run has logged. Of its two
epochs the first decodes photographs (each once: the few labelled ones then come from
memory), the second is compiled already.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks import output
from color_s4l import command_line
from color_s4l.artifacts import provenance
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError, unknown
from color_s4l.fields import option

CLASSES = ("temple", "flower")
METHOD, VIEWS = "sesemi", 6
# Labelled photographs of a class to train on, and to test on.
TRAINED, TESTED = 20, 20
# Of the camera's pixels; JPEG's quality.
WIDTH, HEIGHT, QUALITY = 1200, 800, 90


@dataclasses.dataclass(frozen=True)
class Loading:
    """The command's flags."""

    images: int = option(2000, "Photographs to train on.")
    image_sizes: str = option("96,224", "Comma-separated sides in pixels.")
    caches: str = option("memory,disk,none", "Comma-separated.")
    unlabeled: int = option(500, "Photographs of an epoch.")
    network: str = option("resnet18", "The trunk.")
    width: float = option(0.25, "Factor on the trunk's numbers of filters.")
    batch_size: int = option(8, "Unlabelled photographs per step.")
    labeled_batch: int = option(8, "Labelled ones.")
    output: str = option("loading.csv", "The table.")


def loading(flags: Loading) -> None:
    """Runs the command."""
    path = output.check(flags.output)
    cases = sizes_and_caches(flags)
    if flags.images < len(CLASSES) * TRAINED or flags.unlabeled > flags.images:
        raise InputError(
            f"--images={flags.images}: expected at least {len(CLASSES) * TRAINED}, and "
            f"as many as --unlabeled={flags.unlabeled}."
        )
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        draw_photographs(folder / "photos", flags.images)
        rows = [measured(flags, size, cache, folder) for size, cache in cases]
    text = pd.DataFrame(rows).to_csv(index=False).encode()
    write_atomically(path, lambda file: file.write(text))
    print(f"written    {path}", flush=True)


def sizes_and_caches(flags: Loading) -> list[tuple[int, str]]:
    """What is measured, in this order.

    Raises:
        InputError: A size is no number of pixels, or a cache does not exist.
    """
    sizes, caches = flags.image_sizes.split(","), flags.caches.split(",")
    for size in sizes:
        if not size.isdecimal() or int(size) < 1:
            raise InputError(
                f"--image_sizes={flags.image_sizes}: expected sides in pixels, such as "
                f"{Loading.image_sizes}. Received: {size!r}."
            )
    for cache in caches:
        if cache not in Loading.caches.split(","):
            raise unknown("cache", cache, Loading.caches.split(","))
    return [(int(size), cache) for size in sizes for cache in caches]


def draw_photographs(folder: pathlib.Path, count: int) -> None:
    """Writes a folder as `--dataset=folder` takes it.

    Args:
        folder: Is made.
        count: Photographs to train on; `TRAINED` of each class have a label.
    """
    from sklearn.datasets import load_sample_images

    sources = [Image.fromarray(image) for image in load_sample_images().images]
    random = np.random.default_rng(0)
    for number in range(count + len(CLASSES) * TESTED):
        kind, place = number % len(CLASSES), number // len(CLASSES)
        part = f"test/{CLASSES[kind]}"
        if place >= TESTED:
            labelled = place < TESTED + TRAINED
            part = f"train/{CLASSES[kind]}" if labelled else "unlabeled"
        path = folder / part / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut(sources[kind], random).save(path, quality=QUALITY)


def _cut(source: Image.Image, random: np.random.Generator) -> Image.Image:
    """A part of a photograph, mirrored or not, as large as a photograph."""
    width = random.uniform(0.5, 0.9) * source.width
    height = width * HEIGHT / WIDTH
    left = random.uniform(0, source.width - width)
    top = random.uniform(0, source.height - height)
    box = (left, top, left + width, top + height)
    part = source.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box)
    if random.random() < 0.5:
        return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return part


def measured(flags: Loading, size: int, cache: str, folder: pathlib.Path) -> dict:
    """Trains once, in a process and with a cache of its own.

    Args:
        flags: The command's.
        size: Side in pixels.
        cache: As for training.
        folder: Holds `photos`; the run's folder is made in it.

    Returns:
        A row of the table.

    Raises:
        InputError: The training failed.
    """
    run = folder / f"{size}_{cache}"
    words = ["--dataset=folder", "--data_dir=photos", f"--method={METHOD}"]
    words += [f"--image_size={size}", f"--cache={cache}", f"--run_dir={run.name}"]
    names = ("unlabeled", "network", "width", "batch_size", "labeled_batch")
    words += [f"--{name}={getattr(flags, name)}" for name in names]
    words += ["--epochs=2", "--verbosity=0"]
    root = pathlib.Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "color_s4l.train", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(run) + "_cache"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise InputError(f"training at {size} px with --cache={cache} failed: {last}")
    found = _row(flags, run)
    print(
        f"{size:>4} px  {cache:<7} {found['images_per_second']:,} images/s trained; "
        f"{found['loading_images_per_second']:,} read, where "
        f"{found['needed_images_per_second']:,} are needed",
        flush=True,
    )
    return found


def _row(flags: Loading, run: pathlib.Path) -> dict:
    from color_s4l.artifacts.run_directory import RunFolder, read_config

    folder = RunFolder(run)
    config, log = read_config(folder), pd.read_csv(folder.log)
    trained, read = images_per_step(flags)
    speed = log["images_per_second"].iloc[1]
    return {
        "image_size": config["run"]["image_size"],
        "cache": config["run"]["cache"],
        "images": flags.images,
        "network": flags.network,
        "width": flags.width,
        "method": METHOD,
        "images_per_second": round(speed, 1),
        "needed_images_per_second": round(speed * read / trained, 1),
        "loading_images_per_second": round(log["loading_images_per_second"].iloc[0], 1),
        "command": command_line.command(
            "benchmarks.speed.loading", provenance.portable(flags)
        ),
        "versions": ", ".join(f"{k} {v}" for k, v in config["versions"].items()),
        "hardware": config["hardware"],
        "date": config["date"],
    }


def images_per_step(flags: Loading) -> tuple[int, int]:
    """Images that go through the network in a step, and those that are read for it."""
    read = flags.batch_size + flags.labeled_batch
    return flags.batch_size * VIEWS + flags.labeled_batch, read


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(loading, Loading, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
