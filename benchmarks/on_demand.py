"""Measures data sets that are decoded on demand: python -m benchmarks.on_demand."""

import dataclasses
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks import origin
from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import Count, Run

_DESCRIPTION = """Generates a data set of many JPEG images (few images, many names), as
folders and in TFDS' random-access format, and measures the time until the first
training step, and the memory after it and after each epoch. Also measures the images
decoded in a second, beside the readers of Grain and tf.data (pip install grain).

  python -m benchmarks.on_demand --directory=/tmp/on_demand
"""
CLASSES, TEST_IMAGES, STEPS = 10, 1000, 20
SHARD = 100_000
KINDS = ("array_record", "folder")
DECODED_SIZE, STORED_SIZE, PHOTOGRAPHS = 224, (500, 375), 200
WORKERS, REPEATS = (1, 2), 3
# Program of a new process, which trains and prints one line of JSON after the first
# step or after each epoch (see `watch`).
_PROGRAM = "from benchmarks import on_demand; on_demand.watch()"


@dataclasses.dataclass(frozen=True)
class OnDemand:
    """The flags of the command."""

    directory: str = option("on_demand", "Directory of the generated images.")
    images: Count = option(1_000_000, "Number of training images.")
    files: Count = option(20_000, "Number of different images.")
    image_size: Count = option(96, "Side in pixels.")
    epochs: Count = option(5, f"Epochs of {STEPS} steps.")
    decoding: bool = option(True, "Also compare the readers.")
    training: bool = option(True, "Also train.")
    output: str = option("on_demand.csv", "The table of the training runs.")
    decoding_output: str = option("decoding.csv", "The table of the readers.")


def on_demand(flags: OnDemand) -> None:
    """Generates the images, runs the measurements, and writes the tables.

    Raises:
        InputError: The directory contains other images, or a training run fails.
    """
    root = pathlib.Path(flags.directory)
    if flags.decoding:
        rows = pd.DataFrame(list(_decoding_rows(root / "photographs")))
        _write(rows, flags.decoding_output, flags)
    if flags.training:
        make_sets(root, flags.images, flags.files, flags.image_size)
        rows = pd.DataFrame(
            [row for kind in KINDS for row in _train(kind, root, flags)]
        )
        _write(rows, flags.output, flags)


def _write(rows: pd.DataFrame, path: str, flags: OnDemand) -> None:
    print(rows.to_string(index=False))
    table = rows.assign(**origin.columns(flags, ["CPU"]))
    origin.write_csv(table, pathlib.Path(path))


def _encoded(size: tuple[int, int], count: int, seed: int) -> Iterator[bytes]:
    """Yields JPEG files: random sections of two photographs."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    random = np.random.default_rng(seed)
    for number in range(count):
        image = photographs[number % 2]
        share = random.uniform(0.3, 1)
        width, height = (int(share * side) for side in image.size)
        left = int(random.integers(image.width - width + 1))
        top = int(random.integers(image.height - height + 1))
        box = (left, top, left + width, top + height)
        stream = io.BytesIO()
        image.resize(size, box=box).save(stream, "JPEG", quality=90)
        yield stream.getvalue()


def make_sets(root: pathlib.Path, images: int, files: int, size: int) -> None:
    """Writes the folders with hard links, and the same images as ArrayRecord files.

    Args:
        root: Directory for `folder/{train,test}/<class>` and `array_record/many/1.0.0`.
            If it contains these images already, nothing is written.
        images: Number of training images; there are 1,000 test images.
        files: Number of different images.
        size: Side in pixels.

    Raises:
        InputError: The directory contains images of other numbers or sizes.
    """
    made, sizes = root / "sizes.json", [images, files, size]
    if made.exists():
        found = json.loads(made.read_text())
        if found != sizes:
            raise InputError(
                f"{root} contains other images ({found}, not {sizes}): choose another "
                "`directory`."
            )
        return
    shutil.rmtree(root / "folder", ignore_errors=True)
    shutil.rmtree(root / "array_record", ignore_errors=True)
    contents = list(_encoded((size, size), files, seed=0))
    parts = {"train": images, "test": TEST_IMAGES}
    for part, count in parts.items():
        for label in range(CLASSES):
            folder = root / "folder" / part / str(label)
            folder.mkdir(parents=True)
            for number in range(label, count, CLASSES):
                original = root / "files" / f"{number % files}.jpg"
                if not original.exists():
                    original.parent.mkdir(exist_ok=True)
                    original.write_bytes(contents[number % files])
                os.link(original, folder / f"{number:07d}.jpg")
    _write_records(root / "array_record", contents, parts, size)
    made.write_text(json.dumps(sizes))


def _write_records(
    directory: pathlib.Path, contents: list[bytes], parts: dict[str, int], size: int
) -> None:
    import tensorflow_datasets as tfds
    from array_record.python import array_record_module
    from tensorflow_datasets.proto import tf_example_pb2

    folder = directory / "many" / "1.0.0"
    folder.mkdir(parents=True)
    infos = []
    for part, count in parts.items():
        shards = -(-count // SHARD)
        lengths = [min(SHARD, count - k * SHARD) for k in range(shards)]
        for shard, length in enumerate(lengths):
            name = f"many-{part}.array_record-{shard:05d}-of-{shards:05d}"
            writer = array_record_module.ArrayRecordWriter(
                str(folder / name), "group_size:1"
            )
            for number in range(shard * SHARD, shard * SHARD + length):
                example = tf_example_pb2.Example()
                feature = example.features.feature
                image = contents[number % len(contents)]
                feature["image"].bytes_list.value.append(image)
                feature["label"].int64_list.value.append(number % CLASSES)
                writer.write(example.SerializeToString())
            writer.close()
        template = tfds.core.ShardedFileTemplate(
            dataset_name="many",
            data_dir=folder,
            split=part,
            filetype_suffix="array_record",
        )
        info = tfds.core.SplitInfo(
            name=part, shard_lengths=lengths, num_bytes=0, filename_template=template
        )
        infos.append(info)
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(
                    shape=(size, size, 3), encoding_format="jpeg"
                ),
                "label": tfds.features.ClassLabel(num_classes=CLASSES),
            }
        ),
        split_infos=infos,
        check_data=False,
    )


def _train(kind: str, root: pathlib.Path, flags: OnDemand) -> Iterator[dict]:
    """Yields the rows of three training runs.

    The first two runs use all images and end after the first step, with one row each:
    one with an empty cache, and one with the cache that the first run has written. The
    third run has `flags.epochs` epochs of `STEPS` steps, with one row after each epoch.
    """
    batch = 16
    common = {
        "image_size": flags.image_size,
        "labels": 10 * CLASSES,
        "network": "airbench",
        "width": 0.25,
        "zca": False,
        "method": "sesemi",
        "batch_size": batch,
        "normalization": "channels",
        "cache": "none",
        "verbosity": 0,
    }
    dataset = {"dataset": "folder", "data_dir": str(root / "folder")}
    if kind == "array_record":
        dataset = {"dataset": "many", "data_dir": str(root / "array_record")}
    shutil.rmtree(root / f"cache_{kind}", ignore_errors=True)
    for cache in ("empty cache", "second run"):
        for epochs, unlabeled in ((0, None), (flags.epochs, batch * STEPS)):
            if epochs and cache == "empty cache":
                continue
            values = {**common, **dataset, "unlabeled": unlabeled}
            values["run_dir"] = str(root / "runs" / f"{kind} {cache} {epochs}")
            values["epochs"] = max(epochs, 1)
            for row in _lines(values, root / f"cache_{kind}"):
                yield {"kind": kind, "images": flags.images, "run": cache, **row}


def _lines(values: dict[str, typing.Any], cache: pathlib.Path) -> Iterator[dict]:
    shutil.rmtree(values["run_dir"], ignore_errors=True)
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(values)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    lines = [line for line in process.stdout.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        raise InputError(f"The training run failed: exit code {process.returncode}.")
    yield from map(json.loads, lines)


def watch() -> None:
    """Trains with the settings in `sys.argv` and prints the measurements.

    A run of one epoch ends after its first step, with one line; other runs print a line
    after each epoch.
    """
    import keras
    import psutil

    from color_s4l.training import session

    process, values = psutil.Process(), json.loads(sys.argv[1])

    def show(epoch: int) -> None:
        memory, used = process.memory_info(), process.cpu_times()
        row = {
            "epoch": epoch,
            "seconds": round(time.time() - process.create_time(), 1),
            "cpu_seconds": round(used.user + used.system, 1),
            "memory_MB": memory.rss // 10**6,
            "load": round(os.getloadavg()[0], 1),
        }
        print(json.dumps(row), flush=True)

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0 and self.params["epochs"] == 1:
                show(0)
                os._exit(0)

        def on_epoch_end(self, epoch, logs=None):
            show(epoch + 1)

    session.train(Run(**values), extra_callbacks=[Watch()])


def _decoding_rows(folder: pathlib.Path) -> Iterator[dict]:
    """Yields a row for each reader: images per second, decoded at `DECODED_SIZE`."""
    if not folder.exists():
        folder.mkdir(parents=True)
        for number, content in enumerate(_encoded(STORED_SIZE, PHOTOGRAPHS, seed=1)):
            (folder / f"{number}.jpg").write_bytes(content)
    paths = sorted(str(path) for path in folder.iterdir())
    speeds: dict[tuple[str, int], list[float]] = {}
    # The readers alternate, so that other programs on the machine slow all of them.
    for _ in range(REPEATS):
        for workers in WORKERS:
            for name, reader in _readers(paths, workers).items():
                started = time.perf_counter()
                count = reader()
                speed = count / (time.perf_counter() - started)
                speeds.setdefault((name, workers), []).append(speed)
    for (name, workers), values in speeds.items():
        own = speeds["color_s4l", workers]
        yield {
            "reader": name,
            "workers": workers,
            "images_per_second": round(float(np.median(values)), 1),
            "ratio": round(float(np.median(np.divide(own, values))), 2),
            "load": round(os.getloadavg()[0], 1),
        }


def _readers(paths: list[str], workers: int) -> dict[str, Callable[[], int]]:
    """Returns functions that decode all images in batches of 100 and count them."""
    import grain
    import tensorflow as tf
    from absl import flags

    from color_s4l.data import image_files, lazy_images

    flags.FLAGS.mark_as_parsed()  # Grain's processes read flags

    def load(path: str) -> np.ndarray:
        return image_files.load(path, DECODED_SIZE)

    def own() -> int:
        images = lazy_images.Decoded(
            lazy_images.Paths(paths), DECODED_SIZE, threads=workers
        )
        return sum(len(chunk) for chunk in lazy_images.chunks(images, 100))

    def grain_threads() -> int:
        options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=100)
        source = grain.MapDataset.source(paths).map(load).to_iter_dataset(options)
        return sum(len(batch) for batch in source.batch(100))

    def grain_processes() -> int:
        options = grain.MultiprocessingOptions(
            num_workers=workers, per_worker_buffer_size=2
        )
        batches = grain.MapDataset.source(paths).map(load).batch(100)
        source = batches.to_iter_dataset(grain.ReadOptions(num_threads=1))
        return sum(len(batch) for batch in source.mp_prefetch(options))

    def decode(path: typing.Any) -> typing.Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        side = tf.minimum(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = image[top : top + side, left : left + side]
        size = [DECODED_SIZE, DECODED_SIZE]
        resized = tf.image.resize(middle, size, "bicubic", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    def tf_data() -> int:
        options = tf.data.Options()
        options.threading.private_threadpool_size = workers
        source = tf.data.Dataset.from_tensor_slices(paths).map(decode, workers)
        batches = source.batch(100).prefetch(1).with_options(options)
        return sum(len(batch) for batch in batches.as_numpy_iterator())

    return {
        "color_s4l": own,
        "grain threads": grain_threads,
        "grain processes": grain_processes,
        "tf.data": tf_data,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(on_demand, OnDemand, _DESCRIPTION, arguments)


if __name__ == "__main__":
    sys.exit(main())
