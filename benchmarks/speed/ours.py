"""Our training step in the running Keras backend, as a run makes it."""

import importlib
import statistics
import time

import keras

from benchmarks.speed.case import NOISE, Case, Repainted
from color_s4l import backend, data, methods
from color_s4l.data import feeding
from color_s4l.data.streams import seed_initialisers
from color_s4l.settings import Run
from color_s4l.training import colors, fitting, preparation, session, values
from color_s4l.training.feeding import Feed

# So long a run that the learning rate stays what it is at the beginning.
EPOCHS = 100_000
REPEATS = 3


class Steps:
    """A learner and its batches; `run` trains.

    Args:
        case: What to measure.
    """

    def __init__(self, case: Case):
        terms = methods.terms_of(case.method)
        self.case, self.done = case, 0
        self.scope = session.start(self._run(case), terms)
        dataset = case.dataset()
        run = values.resolved(self._run(case), dataset)
        split = data.draw_split(
            dataset.labels, dataset.classes, run.labels, run.unlabeled, 0, run.seed
        )
        seed_initialisers(run.seed)
        keras.config.set_dtype_policy(run.dtype_policy)
        self.batches = preparation.batches_of(
            run, dataset, split, terms, Repainted() if colors.needed(terms) else None
        )
        with self.scope():
            network = preparation.network_of(run, terms, dataset)
            # The identity in place of a fitted matrix takes the same time.
            preprocessing = fitting.preprocessing_of(run, dataset, {})
            self.learner = preparation.learner_of(
                run, network, preprocessing, terms, self.batches
            )
        self.images_per_step = preparation.images_per_step(self.learner, self.batches)

    def _run(self, case: Case) -> Run:
        return Run(
            dataset=NOISE,
            labels=50,
            unlabeled=case.unlabeled,
            colorizer=Repainted.digest,
            method=case.method,
            network=case.network,
            width=case.width,
            epochs=EPOCHS,
            batch_size=case.batch_size,
            labeled_batch=case.labeled_batch,
            dtype_policy=case.dtype_policy,
            jit_compile=case.jit_compile,
            steps_per_execution=case.steps_per_execution,
            devices=case.devices,
        )

    def run(self) -> None:
        """Trains for the case's steps, as a run does."""
        steps = self.case.steps
        feed = Feed(self.batches, self.done, self.done + steps)
        with self.scope(), feeding.fed(feed) as batches:
            self.learner.fit(
                batches,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
            )
        self.done += steps

    def parts(self) -> dict[str, float]:
        """Seconds of the parts of one step, each compiled and timed by itself.

        Returns:
            "data": indices and images on the host; "views": preprocessing and
            augmentation; "gradient": forward and backward pass.
        """
        name = f"benchmarks.speed.parts_{keras.backend.backend()}"
        views, gradient = importlib.import_module(name).compiled(self.learner)
        batch = self.batches.batch(0)
        before = _median_seconds(lambda: _finished(views(batch)))
        both = _median_seconds(lambda: _finished(gradient(batch)))
        return {
            "data": _median_seconds(lambda: self.batches.batch(1)),
            "views": before,
            "gradient": max(0.0, both - before),
        }

    def devices(self) -> list[str]:
        """Names of the accelerators, or `["CPU"]`."""
        return backend.device_names()

    def device_memory(self) -> int | None:
        """Peak bytes on the first accelerator; None on a CPU."""
        name = f"benchmarks.speed.parts_{keras.backend.backend()}"
        return importlib.import_module(name).device_memory()


def _finished(arrays) -> None:
    """Waits for what a device still computes."""
    for array in keras.tree.flatten(arrays):
        keras.ops.convert_to_numpy(array)


def _median_seconds(action) -> float:
    action()  # compiles
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
