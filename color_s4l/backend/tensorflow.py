"""TensorFlow: gradients, distribution, fused kernels and feeding."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

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


def normalized(features, scale, offset, epsilon: float):
    """Normalises by the statistics of the batch, in one kernel: oneDNN's or cuDNN's.

    Args:
        features: Float `(batch, rows, columns, channels)`, float32 or half precision.
        scale: Float32 `(channels,)`.
        offset: Float32 `(channels,)`.
        epsilon: Added to the variance.

    Returns:
        The normalised features, of the type of `features`; mean and (biased) variance
        of the batch, float32 `(channels,)`.
    """
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=features,
        scale=tf.convert_to_tensor(scale),
        offset=tf.convert_to_tensor(offset),
        mean=[],
        variance=[],
        epsilon=epsilon,
        is_training=True,
    )
    # The kernel divides by n - 1, Keras by n.
    count = tf.cast(tf.reduce_prod(tf.shape(features)[:3]), "float32")
    return outputs, mean, unbiased * (count - 1) / count


def leaky(features, slope: float):
    """LeakyReLU whose gradient needs its outputs only.

    TensorFlow's own keeps its inputs for the gradient; so the outputs can stand in
    their place in memory. The signs of both are the same.

    Args:
        features: Float, any shape.
        slope: Factor on values below 0; itself at least 0.

    Returns:
        The shape of `features`.
    """

    @tf.custom_gradient
    def activated(features):
        outputs = tf.nn.leaky_relu(features, slope)

        def gradient(upstream):
            return tf.raw_ops.LeakyReluGrad(
                gradients=upstream, features=outputs, alpha=slope
            )

        return outputs, gradient

    return activated(tf.convert_to_tensor(features))


def pullback(function: Callable, inputs: Sequence, upstream):
    """The value of a function, and its gradient.

    Args:
        function: Takes `*inputs`, returns one tensor.
        inputs: Float tensors.
        upstream: The gradient of a loss with respect to the function's value.

    Returns:
        The value, and the list of the gradients with respect to `inputs`.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    zero = tf.UnconnectedGradients.ZERO
    return value, tape.gradient(value, inputs, upstream, unconnected_gradients=zero)


def after(tensors: Sequence, earlier: Sequence) -> list:
    """`tensors`, available only once all of `earlier` have been computed."""
    with tf.control_dependencies([tf.convert_to_tensor(e) for e in earlier]):
        return [tf.identity(tensor) for tensor in tensors]


@contextlib.contextmanager
def fed(batches) -> Iterator[tf.data.Dataset]:
    """The batches as a data set of tensors with all their sizes.

    Keras would make one, too, with tf.data's tuner. The tuner's thread pauses for
    10 ms, then 20, and so on, and now and then what reads the data ends only with such
    a pause (TensorFlow 2.21: one `fit` in six took up to twice its time). There is
    nothing to tune here.
    """
    # TensorFlow never frees a generator's function, nor what that one holds.
    held, count = [batches], batches.num_batches

    def each() -> Iterator:
        for number in range(count):
            yield held[0][number]

    options = tf.data.Options()
    options.autotune.enabled = False
    signature = tf.nest.map_structure(_specification, batches[0])
    data = tf.data.Dataset.from_generator(each, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(count))
    try:
        yield data.prefetch(1).with_options(options)
    finally:
        held.clear()


def _specification(array) -> tf.TensorSpec:
    return tf.TensorSpec(array.shape, array.dtype)
