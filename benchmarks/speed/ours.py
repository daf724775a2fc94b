"""The library's training step on the active Keras backend, built as in a run."""

import statistics
import time
from collections.abc import Callable

import keras

from benchmarks.speed.case import Case, FakeColorizer
from color_s4l import backend, data
from color_s4l.data.streams import seed_initialisers
from color_s4l.training import build, session
from color_s4l.training.feeding import Feed
from color_s4l.training.inputs import InputFiles, Inputs, needs_colorizer

REPEATS = 3


class Steps:
    """A learner and its batches; `run` trains.

    Args:
        case: The case to measure.
    """

    def __init__(self, case: Case):
        run, images = case.run, case.images()
        terms = session.checked_terms(run)
        self.case, self.done = case, 0
        self.scope = session.start(run, terms)
        settings = session.resolve(run, terms, images.size)
        split = data.draw_split(
            images.labels, images.classes, run.labels, run.unlabeled, 0, run.seed
        )
        inputs = Inputs(images, split, InputFiles(None, None, None, None), None)
        seed_initialisers(run.seed)
        keras.config.set_dtype_policy(run.dtype_policy)
        colorizer = FakeColorizer() if needs_colorizer(terms) else None
        self.batches = build.build_batches(settings.step, inputs, colorizer)
        with self.scope():
            shape = images.images.shape[1:]
            network = build.build_network(
                settings.model,
                terms,
                shape,
                len(images.classes),
                synchronized=build.is_synchronized(run.devices),
            )
            # Whitening by the identity takes the same time as by a fitted matrix.
            preprocessing = build.build_preprocessing(settings.model, shape)
            self.learner = build.build_learner(
                network,
                preprocessing,
                terms,
                self.batches,
                settings.step,
                settings.optimization,
                settings.runtime,
            )
        self.images_per_step = build.images_per_step(terms, self.batches)

    def run(self) -> None:
        """Trains for the steps of one measurement, as a run does."""
        steps = self.case.steps
        feed = Feed(self.batches, self.done, self.done + steps)
        with self.scope(), backend.fed(feed) as batches:
            self.learner.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
        self.done += steps

    def parts(self) -> dict[str, float]:
        """Measures the parts of one step, compiled separately, in seconds.

        Returns:
            "data": indices and images on the host; "views": preprocessing and
            augmentation; "gradient": forward and backward pass. Empty on JAX.
        """
        if keras.backend.backend() == "jax":
            return {}
        import tensorflow as tf

        learner, batch = self.learner, self.batches.batch(0)

        # Only sums are returned. They depend on all values, so nothing is left out of
        # the computation, and no large array is copied from the device.
        @tf.function(jit_compile=learner.jit_compile)
        def views(batch):
            made = learner.views_of(batch)
            return [tf.reduce_sum(made[name]) for name in made if name != "draws"]

        @tf.function(jit_compile=learner.jit_compile)
        def gradient(batch):
            with tf.GradientTape() as tape:
                _, loss = learner.losses(learner.views_of(batch))
            found = tape.gradient(loss, learner.trainable_variables)
            arrays = [tf.convert_to_tensor(part) for part in found if part is not None]
            return [tf.reduce_sum(array) for array in arrays]

        before = _median_seconds(lambda: views(batch))
        both = _median_seconds(lambda: gradient(batch))
        read = _median_seconds(lambda: self.batches.batch(1))
        return {"data": read, "views": before, "gradient": max(0.0, both - before)}

    def devices(self) -> list[str]:
        """Returns the names of the accelerators, or `["CPU"]`."""
        return backend.device_names()

    def device_memory(self) -> int | None:
        """Returns the peak bytes on the first accelerator; None on a CPU."""
        if keras.backend.backend() == "jax":
            import jax

            stored = jax.devices()[0].memory_stats()
            return stored["peak_bytes_in_use"] if stored else None
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            return None
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def _median_seconds(action: Callable[[], object]) -> float:
    seconds = []
    for _ in range(1 + REPEATS):  # the first call compiles
        started = time.perf_counter()
        for array in keras.tree.flatten(action()):
            keras.ops.convert_to_numpy(array)  # waits for the device
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])
