"""Several processes that train one model: how they find each other and stop together.

Every process has one connection to process 0, besides the connections of the framework.
Over this connection the processes compare their code and settings before the framework
starts, wait for each other, add up numbers, and notice within seconds that a process is
gone. The frameworks notice it too, but TensorFlow and JAX then end the process from C++
without naming the one that is missing.

A killed process closes its connection. If a whole computer is gone, the operating
system closes the connection after `SILENCE` seconds.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import pathlib
import queue
import socket
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection

import keras

from color_s4l import backend
from color_s4l.artifacts import provenance
from color_s4l.errors import InputError
from color_s4l.settings import ProcessSettings, check_devices

logger = logging.getLogger(__name__)

# Seconds after which the connection to a computer that no longer answers is closed.
SILENCE = 30
# Seconds that a process waits after an error. If it learns in this time that another
# process is gone, this was the cause of the error.
REASON = SILENCE + 10
EXIT_LOST = 1
# Seconds in which the other end of a new connection must send its first line.
ANSWER = 10
# First line that process 0 sends. If another line arrives, another program uses the
# port. The line is not a secret.
_GREETING = b"color_s4l\n"
_LONGEST = 1000  # bytes of a first line
_PACKAGES = ("color_s4l", "colorization")
# File with the messages of C++ code of this process; None if they are shown.
native_log: pathlib.Path | None = None

Result = typing.TypeVar("Result")
Message = dict[str, typing.Any]


class Group:
    """The processes of a run; without `peers`, this process alone.

    Args:
        process_id: Number of this process, from 0.
        count: Number of processes.
        peers: Process id -> connection: on process 0 to all others, elsewhere to
            process 0.
        hosts: Names of the computers, by process id.

    Attributes:
        together: `backend.Together`; None for a run that is not distributed.
        native_logs: Paths of the files with the messages of C++ code, by process id; ""
            for a process that shows these messages.
    """

    def __init__(
        self,
        process_id: int = 0,
        count: int = 1,
        peers: Mapping[int, connection.Connection] | None = None,
        hosts: tuple[str, ...] = (),
    ):
        self.process_id, self.count, self.hosts = process_id, count, hosts
        self.together: typing.Any = None
        self.native_logs: list[str] = []
        self._peers = dict(peers or {})
        self._inbox: dict[int, queue.Queue] = {n: queue.Queue() for n in self._peers}
        self._leaving = threading.Event()
        if self._peers:
            threading.Thread(target=self._listen, daemon=True).start()

    @property
    def leads(self) -> bool:
        """Whether this is process 0, the only one that writes files."""
        return self.process_id == 0

    def combined(
        self, value: typing.Any, combine: Callable[[list], typing.Any]
    ) -> typing.Any:
        """Combines one value of each process; waits for all processes.

        Args:
            value: This process's value, in JSON types.
            combine: Called on process 0 with the list of all values, in the order of
                the process ids.

        Returns:
            The result of `combine`, in JSON types, on every process.
        """
        if not self.leads:
            self._send(0, {"value": value})
            return self._inbox[0].get()["value"]
        values = [value, *(self._inbox[peer].get()["value"] for peer in self._peers)]
        found = combine(values)
        for peer in self._peers:
            self._send(peer, {"value": found})
        return found

    def wait(self) -> None:
        """Waits until all processes have called this method."""
        self.combined(None, lambda values: None)

    def in_turn(self, function: Callable[[], Result]) -> Result:
        """Calls a function first on process 0, then on all others.

        The others find the files that process 0 has written.
        """
        if not self.leads:
            self.wait()
        result = function()
        if self.leads:
            self.wait()
        return result

    def mean(self, value: float, weight: float) -> float:
        """Returns the weighted mean of a number over all processes."""
        if self.count == 1:
            return value
        pairs = self.combined([value * weight, weight], lambda found: found)
        totals, weights = zip(*pairs, strict=True)
        return sum(totals) / sum(weights)

    def agree(self, about: Mapping[str, str], subject: str) -> None:
        """Checks that all processes have equal values.

        Args:
            about: Name -> value.
            subject: Plural noun for the error message, for example "settings".

        Raises:
            InputError: A process has another value. All processes raise the error.
        """
        found = self.combined(dict(about), functools.partial(_difference, subject))
        if found:
            raise InputError(found)

    def end_training(self) -> None:
        """Waits for all processes; process 0 continues if another one ends later."""
        self.wait()
        if self.leads:
            self._leaving.set()

    def leave(self, value: Result | None) -> Result:
        """Ends the connections; all processes except process 0 wait for its value.

        Args:
            value: A value in JSON types; only that of process 0 is used.

        Returns:
            The value of process 0.
        """
        found: typing.Any = value if self.leads else self._inbox[0].get()["value"]
        self._leaving.set()
        for peer in self._peers:
            if self.leads:
                self._send(peer, {"value": value})
            self._send(peer, {"end": None})
        return found

    def stop(self, error: BaseException) -> None:
        """Tells the other processes that this one stops because of an error."""
        if not isinstance(error, InputError | KeyboardInterrupt | SystemExit):
            # A step also fails if another process is gone. In this case `_listen` ends
            # this process during the wait.
            time.sleep(REASON)
        self._leaving.set()
        reason = " ".join(str(error).split()) or type(error).__name__
        for peer in self._peers:
            self._send(peer, {"stopped": self.process_id, "reason": reason})

    def _send(self, peer: int, message: Message) -> None:
        with contextlib.suppress(OSError):  # `_listen` notices a closed connection
            self._peers[peer].send_bytes(json.dumps(message).encode())

    def _listen(self) -> None:
        """Receives messages; ends this process if another one is gone."""
        names = {link: peer for peer, link in self._peers.items()}
        while names:
            for link in connection.wait([*names]):
                peer = names[typing.cast(connection.Connection, link)]
                try:
                    message = json.loads(self._peers[peer].recv_bytes())
                except (EOFError, OSError):
                    message = {"stopped": peer, "reason": ""}
                if "stopped" in message and not (self.leads and self._leaving.is_set()):
                    self._lost(message["stopped"], message["reason"])
                    return
                if "end" in message or "stopped" in message:
                    names.pop(typing.cast(connection.Connection, link))
                else:
                    self._inbox[peer].put(message)

    def _lost(self, lost: int, reason: str) -> None:
        """Reports a process that is gone or stopped, and ends this process."""
        for peer in self._peers:
            if self.leads and peer != lost:
                self._send(peer, {"stopped": lost, "reason": reason})
        # If this process stops for the same reason, it reports the reason itself.
        if self._leaving.wait(2.0 if reason else 0.0):
            return
        event = f"stopped: {reason}"
        if not reason:
            event = (
                "is gone (killed, or its computer failed). Continue with `resume`, "
                "with any number of processes."
            )
            if any(self.native_logs[lost : lost + 1]):
                event += (
                    f" Its C++ messages, if any, are in {self.native_logs[lost]} on "
                    "that computer."
                )
        logger.error(
            "error: Process %s of %s on %s %s",
            lost,
            self.count,
            self.hosts[lost],
            event,
        )
        os._exit(EXIT_LOST)


@contextlib.contextmanager
def joined(settings: ProcessSettings, shared: Mapping[str, str]) -> Iterator[Group]:
    """Connects this process with the other processes of a run.

    A run that is not distributed has one process.

    Args:
        settings: The place of this process.
        shared: Settings that must be equal on all processes: name -> value.

    Yields:
        The processes.

    Raises:
        InputError: The processes do not find each other or differ in code or settings,
            or a setting is wrong.
    """
    if not settings.distributed:
        yield Group()
        return
    address, count, process_id, own = _place(settings)
    if not 0 <= process_id < count:
        raise InputError(
            f"Expected `process_id` from 0 to {count - 1}. Received: {process_id}."
        )
    check_devices(settings, count)
    peers, hosts, host = connect(address, count, process_id, settings.join_timeout)
    group = Group(process_id, count, peers, hosts)
    if not group.leads:
        logging.getLogger("color_s4l").setLevel(logging.WARNING)
    try:
        group.agree(_code(settings.plugins), "code")
        group.agree(shared, "settings")
        own = own or f"{host}:{_free_port()}"
        addresses = group.combined(own, lambda found: found)
        group.native_logs = group.combined(str(native_log or ""), lambda found: found)
        group.together = backend.Together(addresses, process_id, settings.devices)
        yield group
    except BaseException as error:
        group.stop(error)
        raise


def _place(settings: ProcessSettings) -> tuple[str, int, int, str | None]:
    """Returns this process's place from the settings, else from the environment.

    Returns:
        Four values, as for `backend.environment`; the last is None with the settings.

    Raises:
        InputError: Settings are missing, and no cluster was detected.
    """
    address, count = settings.coordinator, settings.num_processes
    if address and count and settings.process_id is not None:
        return address, count, settings.process_id, None
    found = backend.environment(settings.join_timeout)
    if found is None:
        raise InputError(
            "`distributed` needs `coordinator`, `num_processes` and `process_id`: "
            "this process was not started by a supported cluster (docs/cluster.md)."
        )
    return found


def connect(
    address: str, count: int, process_id: int, seconds: float
) -> tuple[dict[int, connection.Connection], tuple[str, ...], str]:
    """Connects all processes with process 0.

    Args:
        address: "host:port" at which process 0 accepts connections.
        count: Number of processes.
        process_id: Number of this process.
        seconds: Time in which all processes must be connected.

    Returns:
        The connections by process id, the names of all computers, and the address of
        this computer that the others can use.

    Raises:
        InputError: The address is wrong, a process does not connect in time, or the
            processes have equal ids or different values of `count`.
    """
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    if process_id == 0:
        peers, hosts = _accept(host, int(port), count, deadline, seconds)
        for link in peers.values():
            link.send_bytes(json.dumps(hosts).encode())
        return peers, tuple(hosts), host
    while True:
        try:
            end = _reach(host, int(port), deadline)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"Process {process_id} did not reach process 0 at `coordinator`="
                    f"{address} within {seconds:g} s ({error}): check the address, and "
                    "that process 0 runs."
                ) from error
            time.sleep(0.2)
    own = end.getsockname()[0]
    try:
        end.sendall(json.dumps([process_id, count, socket.gethostname()]).encode())
        end.sendall(b"\n")
        link = _link(end)
        # No timeout: process 0 has sent its greeting, and has a deadline itself.
        answer = json.loads(link.recv_bytes())
    except (EOFError, OSError) as error:
        raise InputError(
            f"Process 0 at `coordinator`={address} stopped before all processes joined."
        ) from error
    if isinstance(answer, str):
        raise InputError(answer)
    return {0: link}, tuple(answer), own


def _reach(host: str, port: int, deadline: float) -> socket.socket:
    """Connects with process 0.

    Raises:
        OSError: The port is closed, another program answers, or there is no answer.
    """
    left = max(0.1, deadline - time.monotonic())
    end = socket.create_connection((host, port), timeout=min(left, ANSWER))
    try:
        if _line(end) != _GREETING:
            raise OSError("another program answers")
    except OSError:
        end.close()
        raise
    return end


def _accept(
    host: str, port: int, count: int, deadline: float, seconds: float
) -> tuple[dict[int, connection.Connection], list[str]]:
    """Accepts the connections of all other processes; called on process 0.

    Returns:
        The connections by process id, and the names of all computers.

    Raises:
        InputError: As for `connect`.
    """
    peers: dict[int, connection.Connection] = {}
    hosts = {0: socket.gethostname()}

    def fail(text: str) -> InputError:
        for link in peers.values():
            with contextlib.suppress(OSError):
                link.send_bytes(json.dumps(text).encode())
        return InputError(text)

    try:
        listener = socket.create_server(("", port), backlog=count)
    except OSError as error:
        raise InputError(
            f"Process 0 cannot listen at `coordinator`={host}:{port} "
            f"({os.strerror(error.errno or 0)}): is another process 0 running?"
        ) from error
    accepted: queue.SimpleQueue = queue.SimpleQueue()
    with listener:
        listener.settimeout(0.1)
        while len(peers) < count - 1:
            if time.monotonic() > deadline:
                missing = [str(n) for n in range(1, count) if n not in peers]
                raise fail(
                    f"Of {count} processes, these did not join within {seconds:g} s: "
                    f"{', '.join(missing)}."
                )
            with contextlib.suppress(OSError):  # a timeout, or a failed connection
                end, _ = listener.accept()
                # In a thread: another program may connect and send nothing.
                threading.Thread(
                    target=_greet, args=(end, accepted), daemon=True
                ).start()
            while not accepted.empty():
                link, peer, wanted, name = accepted.get()
                if peer in hosts or wanted != count:
                    text = (
                        f"`num_processes` is {count} on process 0, {wanted} on {peer}."
                    )
                    if wanted == count:
                        text = (
                            f"Two processes have `process_id`={peer}: on {hosts[peer]} "
                            f"and on {name}."
                        )
                    peers[-1] = link
                    raise fail(text)
                peers[peer], hosts[peer] = link, name
    return dict(sorted(peers.items())), [hosts[n] for n in range(count)]


def _greet(end: socket.socket, accepted: queue.SimpleQueue) -> None:
    """Sends the greeting, and reads the first line of a process that connects.

    The connection, the process id, `count` and the name of the computer are put into
    the queue. If another program connects, the connection is closed.
    """
    try:
        end.settimeout(ANSWER)
        end.sendall(_GREETING)
        peer, wanted, name = json.loads(_line(end))
        accepted.put((_link(end), int(peer), int(wanted), str(name)))
    except (OSError, ValueError, TypeError):
        end.close()


def _line(end: socket.socket) -> bytes:
    """Reads a line, without reading any byte after it."""
    with end.makefile("rb", buffering=0) as file:
        return file.readline(_LONGEST)


def _link(end: socket.socket) -> connection.Connection:
    """Returns a connection without a timeout; the system closes a dead connection."""
    end.settimeout(None)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", SILENCE // 3),
        ("TCP_KEEPINTVL", SILENCE // 6),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", 1000 * SILENCE),  # for data that is not received
    ):
        if hasattr(socket, option):
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return connection.Connection(end.detach())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def _code(plugins: Sequence[str]) -> dict[str, str]:
    """Returns package versions, and digests of this library and of the plug-ins."""
    root, digest = pathlib.Path(__file__).parents[2], hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    framework, versions = keras.backend.backend(), provenance.versions()
    compared = [name for name in ("keras", "numpy", framework) if name in versions]
    return {
        "backend": framework,
        **{name: versions[name] for name in compared},
        "color_s4l": digest.hexdigest()[:12],
        **{f"plug-in {_stem(name)}": _plugin_digest(name) for name in plugins},
    }


def _stem(plugin: str) -> str:
    """Returns the name of a plug-in's module."""
    return pathlib.Path(plugin).stem if plugin.endswith(".py") else plugin


def _plugin_digest(plugin: str) -> str:
    """Returns a digest of the file of a loaded plug-in."""
    file = getattr(sys.modules.get(_stem(plugin)), "__file__", None)
    content = pathlib.Path(file).read_bytes() if file else b""
    return hashlib.sha256(content).hexdigest()[:12]


def _difference(subject: str, found: list[dict[str, str]]) -> str:
    """Returns the first difference from process 0 in words; "" if there is none."""
    for number, values in enumerate(found):
        for name in found[0].keys() | values.keys():
            first, other = found[0].get(name), values.get(name)
            if first != other:
                return (
                    f"Process {number} has other {subject} than process 0: {name} is "
                    f"{first} on process 0, {other} on process {number}."
                )
    return ""
