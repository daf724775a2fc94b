"""JAX code: gradients, distribution, fused kernels and feeding."""

import contextlib
import functools
import itertools
import math
import os
import socket
import typing
from collections.abc import Callable, Iterator, Sequence

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.errors import InputError

# Seconds without a sign of life after which JAX ends all processes. It is long, because
# the library notices a missing process itself (`training.processes`).
_HEARTBEAT = 600
# Seconds that a process waits at its end for the others.
_SHUTDOWN = 30
# Beginning of JAX's error if it detects no cluster.
_NOT_DETECTED = "coordinator_address should be defined"
# Whether several processes need compiled steps: operations outside a compiled step
# cannot read the parts of a batch on other processes.
COMPILES_TOGETHER = True
_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


class TrainStep:
    """The training step of a `Learner`: `value_and_grad` over a `StatelessScope`.

    `self` is a `Learner`, which inherits from this class and from `keras.Model`.
    """

    def train_step(self: typing.Any, state: tuple, data: tuple) -> tuple[dict, tuple]:
        """Makes one update, without side effects.

        Args:
            state: Values of the trainable, non-trainable, optimizer and metrics
                variables.
            data: A tuple with one batch of `StepBatches`, as Keras' `fit` passes it.

        Returns:
            Name -> running mean over the epoch, and the new state.
        """
        trainable, non_trainable, optimizer_variables, metrics = state
        with self._scope(
            non_trainable=non_trainable, optimizer_variables=optimizer_variables
        ) as scope:
            batch = self.views_of(data[0])
        non_trainable = _values(scope, self.non_trainable_variables)

        def loss_of(trainable):
            with self._scope(trainable, non_trainable, optimizer_variables) as scope:
                outcome, loss = self.losses(batch)
                scaled = self.optimizer.scale_loss(loss)
            moved = _values(scope, self.non_trainable_variables)
            return scaled, (outcome, loss, moved)

        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (_, (outcome, loss, non_trainable)), gradients = gradient(trainable)
        trainable, optimizer_variables = self.optimizer.stateless_apply(
            optimizer_variables, gradients, trainable
        )
        with self._scope(
            trainable, non_trainable, optimizer_variables, metrics
        ) as scope:
            self.after_update(outcome)
            logs = self.record(outcome, loss)
        non_trainable = _values(scope, self.non_trainable_variables)
        metrics = _values(scope, self.metrics_variables)
        return logs, (trainable, non_trainable, optimizer_variables, metrics)

    def _scope(
        self: typing.Any,
        trainable=(),
        non_trainable=(),
        optimizer_variables=(),
        metrics=(),
    ):
        """Returns a scope with these values; an empty group keeps its values."""
        pairs = (
            (self.trainable_variables, trainable),
            (self.non_trainable_variables, non_trainable),
            (self.optimizer.variables, optimizer_variables),
            (self.metrics_variables, metrics),
        )
        given = [zip(known, new, strict=True) for known, new in pairs if new]
        return keras.StatelessScope(state_mapping=itertools.chain(*given))


def _values(scope: keras.StatelessScope, variables: Sequence) -> list:
    return [scope.get_current_value(variable) for variable in variables]


def share_of(draws: Tensor) -> Tensor:
    """Returns the draws unchanged: a JAX step always contains the whole batch."""
    return draws


def gathered(tensors: Tensor) -> Tensor:
    """Returns the tensors unchanged: they already hold the whole batch."""
    return tensors


def distributed(devices: int) -> Callable[[], contextlib.AbstractContextManager]:
    """Returns a function that opens a scope for building and training on the devices.

    Args:
        devices: Number of GPUs, or of logical CPU devices on a machine without GPUs.

    Raises:
        InputError: The machine has fewer devices, or JAX was initialized with fewer.
    """
    if devices == 1:
        return contextlib.nullcontext
    # JAX raises RuntimeError if it is already initialized; the check is below.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices)
    found = keras.distribution.list_devices()
    if len(found) < devices:
        raise InputError(
            f"Expected `devices` of at most {len(found)}, the number of devices found. "
            f"Received: {devices}."
        )
    return functools.partial(_data_parallel, found[:devices])


class Together:
    """Several processes that compute each step together.

    Args:
        addresses: One address "host:port" per process.
        process_id: Number of this process.
        devices: Number of devices of each process.

    Raises:
        InputError: This process has fewer devices, or JAX was initialized before.
    """

    def __init__(self, addresses: Sequence[str], process_id: int, devices: int):
        if not jax.distributed.is_initialized():
            with contextlib.suppress(RuntimeError):
                jax.config.update("jax_num_cpu_devices", devices)
            try:
                jax.distributed.initialize(
                    addresses[0],
                    len(addresses),
                    process_id,
                    heartbeat_timeout_seconds=_HEARTBEAT,
                    shutdown_timeout_seconds=_SHUTDOWN,
                )
            except RuntimeError as error:
                raise InputError(f"`distributed`: {error}") from error
        if jax.local_device_count() < devices:
            raise InputError(
                f"Expected `devices` of at most {jax.local_device_count()}, the number "
                f"of devices of process {process_id}. Received: {devices}."
            )
        by_process: dict[int, list[str]] = {}
        for device in jax.devices():
            name = f"{device.platform}:{device.id}"
            by_process.setdefault(device.process_index, []).append(name)
        self.names = [n for p in sorted(by_process) for n in by_process[p][:devices]]

    def building(self) -> contextlib.AbstractContextManager:
        """Returns a scope for building the model that is trained together."""
        return _data_parallel(self.names)

    def fitting(self) -> contextlib.AbstractContextManager:
        """Returns a scope for training this model."""
        return _data_parallel(self.names)

    def alone(self) -> contextlib.AbstractContextManager:
        """Returns a scope, inside `fitting`, for computations of this process alone."""
        return _data_parallel(())

    def fed(self, batches: keras.utils.PyDataset) -> contextlib.AbstractContextManager:
        """Returns a context manager that yields this process's part of the batches."""
        return contextlib.nullcontext(batches)

    def leave(self) -> None:
        """Ends the connection; every process calls this after the training."""
        jax.distributed.shutdown()


def environment(seconds: float) -> tuple[str, int, int, None] | None:
    """Returns this process's place in a cluster that JAX detects.

    JAX detects SLURM, Open MPI, Cloud TPU and Kubernetes.

    Args:
        seconds: Time in which all processes must have started.

    Returns:
        Four values: the address at which process 0 accepts connections of this library,
        the number of processes, the number of this process, and None (the TensorFlow
        backend has a second address). None if no cluster was detected.

    Raises:
        InputError: The processes of the detected cluster cannot be connected.
    """
    try:
        jax.distributed.initialize(
            initialization_timeout=math.ceil(seconds),
            heartbeat_timeout_seconds=_HEARTBEAT,
            shutdown_timeout_seconds=_SHUTDOWN,
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        if _NOT_DETECTED in reason:
            return None
        raise InputError(f"`distributed`: {reason}") from error
    with socket.socket() as free:
        free.bind(("", 0))
        address = f"{socket.getfqdn()}:{free.getsockname()[1]}"
    room = np.zeros(256, np.uint8)
    room[: len(address)] = bytearray(address.encode())
    first = np.asarray(multihost_utils.broadcast_one_to_all(room))
    found = first.astype(np.uint8).tobytes().rstrip(b"\0").decode()
    return found, jax.process_count(), jax.process_index(), None


@contextlib.contextmanager
def _data_parallel(names: Sequence[str]) -> Iterator[None]:
    before = keras.distribution.distribution()
    # Keras must not divide the batches, because each process only reads its own part.
    chosen = names and keras.distribution.DataParallel(
        devices=names, auto_shard_dataset=False
    )
    keras.distribution.set_distribution(chosen or None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def share_cores(passes: int) -> None:
    """Does nothing: XLA distributes the work over the cores itself.

    Args:
        passes: Number of independent forward passes in a step.
    """


def make_deterministic() -> None:
    """Makes runs bit-identical; must be called before the first operation runs."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _DETERMINISTIC not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_DETERMINISTIC}".strip()


def device_names() -> list[str]:
    """Returns the names of the accelerators, or `["CPU"]`."""
    return [
        "CPU" if device.platform == "cpu" else device.device_kind
        for device in jax.devices()
    ]


def compiled(function: Callable) -> Callable:
    """Returns the function unchanged: XLA compiles the whole step.

    Args:
        function: Takes and returns nested arrays.
    """
    return function


def normalized(
    features: Tensor, scale: Tensor, offset: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalises features by the statistics of the batch.

    Args:
        features: Float `(batch, rows, columns, channels)`, float32 or half precision.
        scale: Float32 `(channels,)`.
        offset: Float32 `(channels,)`.
        epsilon: Added to the variance.

    Returns:
        The normalised features, in the dtype of `features`; the mean and the (biased)
        variance of the batch, float32 `(channels,)`.
    """
    wide = ops.cast(features, "float32")
    mean, variance = ops.moments(wide, axes=(0, 1, 2))
    outputs = ops.batch_normalization(
        wide, mean, variance, axis=-1, offset=offset, scale=scale, epsilon=epsilon
    )
    return ops.cast(outputs, features.dtype), mean, variance


def leaky(features: Tensor, slope: float) -> Tensor:
    """Applies LeakyReLU.

    Args:
        features: Float, any shape.
        slope: Factor on values below 0; at least 0.

    Returns:
        Float, the shape of `features`.
    """
    return ops.leaky_relu(features, slope)


def gelu(features: Tensor, slope: float) -> Tensor:
    """Applies GELU in its sigmoid form, x * sigmoid(slope * x).

    Args:
        features: Float, any shape.
        slope: Factor inside the sigmoid.

    Returns:
        Float, the shape of `features`.
    """
    return features * ops.sigmoid(slope * features)


def convolved(features: Tensor, kernel: Tensor) -> Tensor:
    """Convolves feature maps with stride 1 and padding "same".

    Args:
        features: `(batch, rows, columns, channels)`.
        kernel: `(k, k, channels, filters)` in the dtype of `features`.

    Returns:
        `(batch, rows, columns, filters)`.
    """
    return ops.conv(features, kernel, padding="same")


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
    value, pull = jax.vjp(function, *inputs)
    return value, list(pull(upstream))


def after(tensors: Sequence[Tensor], earlier: Sequence[Tensor]) -> list[Tensor]:
    """Returns `tensors`, computed only after all of `earlier` have been computed."""
    return jax.lax.optimization_barrier((list(tensors), list(earlier)))[0]


def fed(batches: keras.utils.PyDataset) -> contextlib.AbstractContextManager:
    """Returns a context manager that yields the batches unchanged.

    Keras feeds them to JAX without conversion.
    """
    return contextlib.nullcontext(batches)
