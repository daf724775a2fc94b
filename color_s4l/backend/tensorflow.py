"""TensorFlow code: gradients, distribution, fused kernels and feeding."""

import contextlib
import os
import typing
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled

from color_s4l.backend import Tensor
from color_s4l.errors import InputError

# The library's own connections use the port of TensorFlow's process 0 plus this number,
# or minus this number if the sum is not a valid port.
_BESIDE = 1000
# Number of GPUs per computer for TensorFlow's SLURM resolver. It is larger than the
# number of processes on any computer.
_MANY = 10_000
# Whether several processes need compiled steps.
COMPILES_TOGETHER = False


class TrainStep:
    """The training step of a `Learner`, with a `GradientTape`.

    `self` is a `Learner`, which inherits from this class and from `keras.Model`.
    """

    def train_step(self: typing.Any, data: tuple) -> dict:
        """Makes one update; every replica runs it on its part of the batch.

        Args:
            data: A tuple with one batch of `StepBatches`, as Keras' `fit` passes it.

        Returns:
            Name -> running mean over the epoch.
        """
        batch = self.views_of(data[0])
        with tf.GradientTape() as tape:
            outcome, loss = self.losses(batch)
            # The optimizer sums the replicas' gradients, but the loss is a mean.
            shared = loss / tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.scale_loss(shared)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.after_update(outcome)
        logs = self.record(outcome, loss)
        if _in_processes(tf.distribute.get_strategy()):
            # Keras averages each value over its first axis, so the axis must exist.
            logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def _maybe_symbolic_build(self: typing.Any, iterator=None, data_batch=None) -> None:
        """Builds the model before `fit`, except with several processes.

        Keras' method fails with several processes (keras-team/keras#20585), and a
        `Learner` is already built.
        """
        if not _in_processes(self.distribute_strategy):
            keras.Model._maybe_symbolic_build(self, iterator, data_batch)


def share_of(draws: Tensor) -> Tensor:
    """Returns this replica's rows of random draws for the whole step.

    Args:
        draws: Nested tensors whose first axis is the batch of the whole step; None
            stays None.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return draws

    def rows(part):
        if part is None:
            return None
        size = part.shape[0] // replica.num_replicas_in_sync
        start = replica.replica_id_in_sync_group * size
        # The slice's start is only known at run time, but its size is static.
        return tf.ensure_shape(part[start : start + size], (size, *part.shape[1:]))

    return tf.nest.map_structure(rows, draws)


def gathered(tensors: Tensor) -> Tensor:
    """Returns the rows of all replicas, in the order of the replicas.

    Args:
        tensors: Nested tensors whose first axis is this replica's part of the batch.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1 or not tensors:
        return tensors
    count = replica.num_replicas_in_sync

    # All tensors in one call: separate calls could run in another order on each device.
    whole = replica.all_gather(tensors, axis=0)
    # The static shape is lost when the rows are gathered.
    return tf.nest.map_structure(
        lambda all_rows, own: tf.ensure_shape(
            all_rows, (own.shape[0] * count, *own.shape[1:])
        ),
        whole,
        tensors,
    )


def distributed(devices: int) -> Callable[[], contextlib.AbstractContextManager]:
    """Returns a function that opens a scope for building and training on the devices.

    Args:
        devices: Number of GPUs, or of logical CPU devices on a machine without GPUs.

    Raises:
        InputError: The machine has fewer devices, or TensorFlow was initialized with
            fewer.
    """
    if devices == 1:
        return contextlib.nullcontext
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        _split_the_cpu(devices)
    found = tf.config.list_logical_devices(kind)
    if len(found) < devices:
        raise InputError(
            f"Expected `devices` of at most {len(found)}, the number of {kind} devices "
            f"found. Received: {devices}."
        )
    names = [device.name for device in found[:devices]]
    return tf.distribute.MirroredStrategy(names).scope


class Together:
    """Several processes that compute each step together.

    Args:
        addresses: One address "host:port" per process.
        process_id: Number of this process.
        devices: Number of devices of each process.

    Raises:
        InputError: This process has another number of GPUs than `devices` (without
            GPUs: `devices` is not 1), or TensorFlow was initialized before.
    """

    def __init__(self, addresses: Sequence[str], process_id: int, devices: int):
        gpus = tf.config.list_physical_devices("GPU")
        found = len(gpus) or 1
        if found != devices:
            raise InputError(
                f"Expected `devices`={found}, the number of GPUs of process "
                f"{process_id} (1 without a GPU). Received: {devices}. "
                "CUDA_VISIBLE_DEVICES selects the GPUs of a process."
            )
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(addresses)}),
            task_type="worker",
            task_id=process_id,
            num_accelerators={"GPU": found} if gpus else {},
            rpc_layer="grpc",
        )
        try:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except RuntimeError as error:
            raise InputError(f"`distributed`: {error}") from error
        self.devices = devices

    def building(self) -> contextlib.AbstractContextManager:
        """Returns a scope for building the model that is trained together."""
        return self.strategy.scope()

    def fitting(self) -> contextlib.AbstractContextManager:
        """Returns an empty context: `fit` opens the scope of the model's strategy."""
        return contextlib.nullcontext()

    def alone(self) -> contextlib.AbstractContextManager:
        """Returns a scope, inside `fitting`, for computations of this process alone."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def fed(self, batches: keras.utils.PyDataset) -> Iterator[typing.Any]:
        """Yields this process's part of the batches, divided over its devices."""
        with fed(batches, self.devices) as data:
            yield self.strategy.distribute_datasets_from_function(lambda context: data)

    def leave(self) -> None:
        """Does nothing: TensorFlow's processes may end at different times."""


def environment(seconds: float) -> tuple[str, int, int, str] | None:
    """Returns this process's place in the cluster of TF_CONFIG or of SLURM.

    Args:
        seconds: Not used; the function of the JAX backend needs it.

    Returns:
        Four values: the address at which process 0 accepts connections of this library
        (its port is not TensorFlow's), the number of processes, the number of this
        process, and the address of this process for TensorFlow. None if no cluster was
        detected.

    Raises:
        InputError: The cluster has other jobs than "worker".
    """
    if "TF_CONFIG" in os.environ:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"} <= os.environ.keys():
        # SLURM assigns the GPUs. These numbers only prevent an error: the resolver
        # raises one if the processes of a computer need more GPUs than it has.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=_MANY, gpus_per_task=1, auto_set_gpu=False
        )
    else:
        return None
    jobs = resolver.cluster_spec().as_dict()
    if [*jobs] != ["worker"] or resolver.task_type != "worker":
        raise InputError(
            "Expected processes of the type 'worker' only. Received in TF_CONFIG: "
            f"{', '.join(jobs)}."
        )
    host, _, port = jobs["worker"][0].rpartition(":")
    above = int(port) + _BESIDE
    beside = above if above < 2**16 else int(port) - _BESIDE
    own = jobs["worker"][resolver.task_id]
    return f"{host}:{beside}", len(jobs["worker"]), resolver.task_id, own


def _in_processes(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _split_the_cpu(devices: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * devices
    # TensorFlow raises RuntimeError if its devices are already initialized. In this
    # case, `distributed` checks that there are enough devices.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, logical)


def share_cores(passes: int) -> None:
    """Limits each forward pass to one core, if there are enough passes for all cores.

    The passes of a step run in parallel. Splitting each operation over the same cores
    as well is slower (benchmarks/results/README.md). Nothing is limited if there is a
    GPU, or if there are fewer passes than cores. The setting holds for the whole
    process and makes its other computations slower. It has no effect once TensorFlow is
    running or the environment variable TF_NUM_INTRAOP_THREADS is set.

    Args:
        passes: Number of independent forward passes of equal size in a step.
    """
    alone = not tf.config.list_physical_devices("GPU")
    if alone and 1 < _cores() <= passes and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def _cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_deterministic() -> None:
    """Makes runs bit-identical; slower on GPUs."""
    tf.config.experimental.enable_op_determinism()


def device_names() -> list[str]:
    """Returns the names of the accelerators, or `["CPU"]`."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [detail.get("device_name", "GPU") for detail in details] or ["CPU"]


def compiled(function: Callable) -> Callable:
    """Returns the function, compiled by XLA.

    XLA fuses many small operations into one loop. With several devices and in
    deterministic runs, the function is not compiled, because XLA supports these two
    cases only in part.

    Args:
        function: Takes and returns nested tensors; uses no random numbers.
    """
    fused = tf.function(function, jit_compile=True)

    def call(*arguments):
        if tf.distribute.has_strategy() or is_op_determinism_enabled():
            return function(*arguments)
        return fused(*arguments)

    return call


def normalized(
    features: Tensor, scale: Tensor, offset: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalises features by the batch statistics, in one oneDNN or cuDNN kernel.

    Args:
        features: Float `(batch, rows, columns, channels)`, float32 or half precision.
        scale: Float32 `(channels,)`.
        offset: Float32 `(channels,)`.
        epsilon: Added to the variance.

    Returns:
        The normalised features, in the dtype of `features`; the mean and the (biased)
        variance of the batch, float32 `(channels,)`.
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
    # For the variance, the kernel divides by n - 1, but Keras divides by n.
    count = tf.cast(tf.reduce_prod(tf.shape(features)[:3]), "float32")
    return outputs, mean, unbiased * (count - 1) / count


def leaky(features: Tensor, slope: float) -> Tensor:
    """Applies LeakyReLU with a gradient that is computed from the outputs.

    TensorFlow's own operation keeps its inputs in memory for the gradient. Inputs and
    outputs have the same signs, so the outputs are enough and the inputs can be freed.

    Args:
        features: Float, any shape.
        slope: Factor on values below 0; at least 0.

    Returns:
        Float, the shape of `features`.
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


def gelu(features: Tensor, slope: float) -> Tensor:
    """Applies GELU in its sigmoid form, x * sigmoid(slope * x), compiled by XLA.

    TensorFlow has no fused kernel for this activation and its gradient. XLA compiles
    each of the two into one loop. Only the inputs are kept in memory for the gradient.

    Args:
        features: Float, any shape.
        slope: Factor inside the sigmoid.

    Returns:
        Float, the shape of `features`.
    """

    @tf.custom_gradient
    def activated(features):
        outputs = _gelu_value(features, slope)
        return outputs, lambda upstream: _gelu_gradient(features, upstream, slope)

    return activated(tf.convert_to_tensor(features))


@tf.function(jit_compile=True)
def _gelu_value(features, slope):
    x = tf.cast(features, "float32")
    return tf.cast(x * tf.sigmoid(slope * x), features.dtype)


@tf.function(jit_compile=True)
def _gelu_gradient(features, upstream, slope):
    x = tf.cast(features, "float32")
    gate = tf.sigmoid(slope * x)
    derivative = gate * (1 + slope * x * (1 - gate))
    return tf.cast(tf.cast(upstream, "float32") * derivative, features.dtype)


def convolved(features: Tensor, kernel: Tensor) -> Tensor:
    """Convolves small feature maps with many channels; stride 1, padding "same".

    On a CPU and for small maps, oneDNN needs 3 to 5 times as long for the bfloat16
    gradient with respect to the kernel as for the forward pass. Here the gradient is
    computed with one matrix product for each position in the kernel, which is 2 to 4
    times faster (TensorFlow 2.21, 512 maps of 3x3 or 7x7 with 256 channels).

    Args:
        features: `(batch, rows, columns, channels)`.
        kernel: `(k, k, channels, filters)` in the dtype of `features`, with k odd.

    Returns:
        `(batch, rows, columns, filters)`.
    """
    if tf.config.list_physical_devices("GPU"):
        return tf.nn.conv2d(features, kernel, 1, "SAME")
    return _convolved(tf.convert_to_tensor(features), tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolved(features, kernel):
    outputs = tf.nn.conv2d(features, kernel, 1, "SAME")

    def gradient(upstream):
        inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(features), 1, "SAME")
        return inputs, _kernel_gradient(features, upstream, kernel.shape)

    return outputs, gradient


def _kernel_gradient(features, upstream, shape):
    _, rows, columns, channels = features.shape
    size = shape[0]
    margin = [size // 2, size // 2]
    padded = tf.pad(features, [[0, 0], margin, margin, [0, 0]])
    flat = tf.reshape(upstream, (-1, shape[-1]))
    products = [
        tf.matmul(
            tf.reshape(padded[:, i : i + rows, j : j + columns], (-1, channels)),
            flat,
            transpose_a=True,
        )
        for i in range(size)
        for j in range(size)
    ]
    return tf.reshape(tf.stack(products), shape)


def pullback(
    function: Callable, inputs: Sequence[Tensor], upstream: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Returns the value of a function and its vector-Jacobian product.

    Args:
        function: Takes `*inputs`, returns one tensor.
        inputs: Float tensors.
        upstream: Gradient of a loss with respect to the function's value.

    Returns:
        The value, and the list of the gradients with respect to `inputs`.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    zero = tf.UnconnectedGradients.ZERO
    return value, tape.gradient(value, inputs, upstream, unconnected_gradients=zero)


def after(tensors: Sequence[Tensor], earlier: Sequence[Tensor]) -> list[Tensor]:
    """Returns `tensors`, computed only after all of `earlier` have been computed."""
    with tf.control_dependencies([tf.convert_to_tensor(e) for e in earlier]):
        return [tf.identity(tensor) for tensor in tensors]


@contextlib.contextmanager
def fed(batches: keras.utils.PyDataset, parts: int = 1) -> Iterator[tf.data.Dataset]:
    """Yields the batches as a `tf.data.Dataset` with static shapes.

    With `parts` above 1, each batch is divided into `parts` elements of equal size.

    The dataset that Keras would make runs tf.data's autotuner. The autotuner's thread
    sleeps for 10 ms, then 20 ms, and so on, and sometimes the dataset's iterator ends
    only after one of these pauses (TensorFlow 2.21: one `fit` in six took up to twice
    as long). This dataset has nothing to tune, so autotuning is off.
    """
    # TensorFlow never frees a generator function or the objects it refers to. The
    # batches are therefore held in a list that is cleared at the end.
    held, count = [batches], batches.num_batches

    def each() -> Iterator:
        for number in range(count):
            yield from _divided(held[0][number], parts)

    options = tf.data.Options()
    options.autotune.enabled = False
    signature = tf.nest.map_structure(_specification, _divided(batches[0], parts)[0])
    data = tf.data.Dataset.from_generator(each, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(count * parts))
    try:
        yield data.prefetch(1).with_options(options)
    finally:
        held.clear()


def _divided(batch: tuple, parts: int) -> list[tuple]:
    """Returns equal parts of a batch, divided along the first axis of its arrays."""
    if parts == 1:
        return [batch]
    pieces = [np.split(array, parts) for array in tf.nest.flatten(batch)]
    return [
        tf.nest.pack_sequence_as(batch, [piece[number] for piece in pieces])
        for number in range(parts)
    ]


def _specification(array) -> tf.TensorSpec:
    return tf.TensorSpec(array.shape, array.dtype)
