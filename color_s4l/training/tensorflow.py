"""The TensorFlow side: differentiation, devices, determinism."""

import contextlib
import os
from collections.abc import Callable

import tensorflow as tf

from color_s4l.errors import InputError


class TrainStep:
    """The custom training step of a `Learner`, with a GradientTape."""

    def train_step(self, data):
        """One update; every replica runs it on its part of the batch.

        Args:
            data: A batch of `StepBatches`, alone in a tuple: what `fit` hands on.

        Returns:
            Name -> running mean over the epoch.
        """
        batch = self.views_of(data[0])
        with tf.GradientTape() as tape:
            outcome, loss = self.losses(batch)
            # The optimizer adds the replicas' gradients up; ours is a mean.
            shared = loss / tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.scale_loss(shared)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.after_update(outcome)
        return self.record(outcome, loss)


def share_of(draws):
    """This replica's rows of arrays that were drawn for the whole step.

    Args:
        draws: Nested tensors, the whole step's batch first; None is kept.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return draws

    def rows(part):
        if part is None:
            return None
        size = part.shape[0] // replica.num_replicas_in_sync
        start = replica.replica_id_in_sync_group * size
        # A static size: the start alone is known only on the device.
        return tf.ensure_shape(part[start : start + size], (size, *part.shape[1:]))

    return tf.nest.map_structure(rows, draws)


def gathered(tensors):
    """The rows of all replicas, in the order of the replicas.

    Args:
        tensors: Nested, each with this replica's part of the batch first.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1 or not tensors:
        return tensors
    return replica.all_gather(tensors, axis=0)


def distributed(devices: int) -> Callable[[], contextlib.AbstractContextManager]:
    """What opens a scope in which the network is made and trained on several devices.

    Args:
        devices: GPUs; on a machine without any, logical CPU devices.

    Raises:
        InputError: There are fewer, or TensorFlow is already running with fewer.
    """
    if devices == 1:
        return contextlib.nullcontext
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        _split_the_cpu(devices)
    found = tf.config.list_logical_devices(kind)
    if len(found) < devices:
        raise InputError(f"--devices={devices}: there are {len(found)} {kind} devices.")
    names = [device.name for device in found[:devices]]
    return tf.distribute.MirroredStrategy(names).scope


def _split_the_cpu(devices: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * devices
    # Raised when TensorFlow is already running; then what it runs with is counted.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, logical)


def share_cores(passes: int) -> None:
    """Gives each pass through the trunk a core, where there are not more cores.

    The passes run side by side anyway; to split each operation over the same cores as
    well costs more than it gains (benchmarks/results/README.md). It holds for the whole
    process, whose other computations are slower for it, and is without effect once
    TensorFlow runs.

    Args:
        passes: Of a step, of one size, of which none waits for another.
    """
    alone = not tf.config.list_physical_devices("GPU")
    if alone and 1 < _cores() <= passes and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_deterministic() -> None:
    """Makes every operation bit-equal from run to run; slower on GPUs."""
    tf.config.experimental.enable_op_determinism()


def device_names() -> list[str]:
    """Names of the accelerators, or `["CPU"]`."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [detail.get("device_name", "GPU") for detail in details] or ["CPU"]
