"""Several processes that train together have the result of one process."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import types
from unittest import mock

import keras
import numpy as np
import pytest

from color_s4l import settings
from color_s4l.data import StepBatches, draw_split
from color_s4l.errors import InputError
from color_s4l.settings import ProcessSettings, Run, part
from color_s4l.training import evaluation, processes, session
from color_s4l.training.inputs import InputFiles, Inputs
from color_s4l.training.processes import Group, connect

SCRIPT = pathlib.Path(__file__).parent / "one_run.py"
BACKENDS = ("tensorflow", "jax")
METHOD = "color_s4l+temporal_ensembling"
# Largest difference after two epochs of two steps. Training amplifies rounding errors:
# with ten times the learning rate, the difference was 6.9e-5.
LIMIT = 1e-5
# As in test_identities.py.
XLA_FLAGS = (
    "--xla_cpu_collective_call_terminate_timeout_seconds=600 "
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def _outcome(function, *arguments):
    try:
        return function(*arguments)
    except InputError as error:
        return str(error)


@pytest.fixture
def together():
    """A function that calls a function with different arguments at the same time."""

    def call(function, *arguments):
        with concurrent.futures.ThreadPoolExecutor(len(arguments)) as pool:
            calls = [pool.submit(_outcome, function, *each) for each in arguments]
            return [call.result() for call in calls]

    return call


@pytest.fixture
def groups(address, together):
    """Three connected processes (threads of this one)."""
    found = together(connect, *((address, 3, number, 20.0) for number in range(3)))
    return [Group(n, 3, peers, hosts) for n, (peers, hosts, _) in enumerate(found)]


def test_processes_exchange_values(groups, together):
    def work(group):
        total = group.combined(group.process_id + 1, sum)
        mean = group.mean(float(group.process_id), weight=1 + group.process_id)
        return total, mean, group.leave(f"result {group.process_id}")

    # (0 * 1 + 1 * 2 + 2 * 3) / 6
    assert together(work, *zip(groups, strict=True)) == [(6, 8 / 6, "result 0")] * 3


def test_process_0_takes_the_first_turn(groups, together):
    order = []
    together(
        lambda group: group.in_turn(lambda: order.append(group.process_id)),
        *zip(groups, strict=True),
    )
    assert order[0] == 0
    assert sorted(order) == [0, 1, 2]


def test_all_processes_report_a_difference(groups, together):
    values = [{"`epochs`": "30"}, {"`epochs`": "30"}, {"`epochs`": "20"}]
    errors = together(Group.agree, *zip(groups, values, ["settings"] * 3, strict=True))
    assert set(errors) == {
        "Process 2 has other settings than process 0: `epochs` is 30 on process 0, "
        "20 on process 2."
    }


@pytest.mark.parametrize("lost", [0, 2])
def test_the_others_name_the_process_that_is_gone(lost, groups, monkeypatch, caplog):
    ended = [threading.Semaphore(0), []]

    def end(code):
        ended[1].append(code)
        ended[0].release()

    monkeypatch.setattr(processes.os, "_exit", end)
    for group in groups:
        group.native_logs = [f"/tmp/{number}.log" for number in range(3)]
    for link in groups[lost]._peers.values():
        with socket.socket(fileno=os.dup(link.fileno())) as end_of_link:
            end_of_link.shutdown(socket.SHUT_RDWR)
    for _ in range(3):  # the process whose connections are closed ends too
        assert ended[0].acquire(timeout=10)
    assert set(ended[1]) == {processes.EXIT_LOST}
    text = f"Process {lost} of 3 on {socket.gethostname()} is gone"
    log = f"/tmp/{lost}.log on that computer."
    lines = [line for line in caplog.messages if text in line]
    assert lines
    assert all("`resume`" in line and log in line for line in lines)


def test_process_0_does_not_need_the_others_after_the_training(
    groups, together, monkeypatch
):
    ended = threading.Semaphore(0)
    monkeypatch.setattr(processes.os, "_exit", lambda code: ended.release())
    together(Group.end_training, *zip(groups, strict=True))
    with socket.socket(fileno=os.dup(groups[2]._peers[0].fileno())) as end_of_link:
        end_of_link.shutdown(socket.SHUT_RDWR)
    assert ended.acquire(timeout=10)  # process 2 itself
    left = together(Group.leave, (groups[1], None), (groups[0], "result"))
    assert left == ["result", "result"]
    assert not ended.acquire(blocking=False)


def test_wrong_address(address):
    with pytest.raises(InputError, match=r"1 did not reach process 0 .* 0\.1 s"):
        connect(address, 2, 1, 0.1)


@pytest.mark.parametrize("banner", [b"", b"SSH-2.0-server\n"])
def test_another_program_at_the_address(banner):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve():
            with contextlib.suppress(OSError):  # until the server is closed
                while True:
                    ends.append(other.accept()[0])
                    ends[-1].sendall(banner)

        ends = []
        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InputError, match=r"1 did not reach process 0 .* 0\.3 s"):
            connect(address, 2, 1, 0.3)
        other.shutdown(socket.SHUT_RDWR)
    for end in ends:
        end.close()


def test_other_programs_do_not_prevent_the_start(address, together):
    host, _, port = address.rpartition(":")
    contents = [b"", b"GET / HTTP/1.1\r\n\r\n", b"[1, 2]\n", b"\xff\n", b"{}"]

    def others():
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError):
                first = socket.create_connection((host, int(port)))
                break
            time.sleep(0.05)
        silent, *talking = [
            first,
            *(socket.create_connection((host, int(port))) for _ in contents[1:]),
        ]
        for end, content in zip(talking, contents[1:], strict=True):
            end.sendall(content)
            end.close()
        found = connect(address, 2, 1, 20.0)
        silent.close()
        return found

    calls = [(lambda: connect(address, 2, 0, 20.0),), (others,)]
    (peers, hosts, _), (peers_of_1, _, _) = together(lambda f: f(), *calls)
    assert hosts == (socket.gethostname(),) * 2
    peers[1].send_bytes(b"hello")
    assert peers_of_1[0].recv_bytes() == b"hello"


def test_a_process_that_does_not_come(address, together):
    errors = together(connect, (address, 4, 0, 2.0), (address, 4, 2, 20.0))
    text = "Of 4 processes, these did not join within 2 s: 1, 3."
    assert errors == [text, text]


def test_two_processes_with_one_number(address, together):
    places = [(address, 3, number, 20.0) for number in (0, 1, 1)]
    host = socket.gethostname()
    text = f"Two processes have `process_id`=1: on {host} and on {host}."
    assert together(connect, *places) == [text] * 3


def test_two_processes_0():
    with socket.socket() as used:
        used.bind(("", 0))
        used.listen()
        address = f"127.0.0.1:{used.getsockname()[1]}"
        with pytest.raises(InputError, match="is another process 0 running"):
            connect(address, 2, 0, 1.0)


PLACE = {"coordinator": "host:1234", "num_processes": 2, "process_id": 0}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"process_id": 1}, "`process_id` needs `distributed`"),
        (
            {"distributed": True, "process_id": 1},
            "needs `coordinator` too",
        ),
        (
            {**PLACE, "distributed": True, "coordinator": "host"},
            r"=HOST:PORT,.*'host'",
        ),
        ({**PLACE, "distributed": True, "coordinator": "a:70000"}, "from 1 to 65535"),
        ({"distributed": True, "recipe": "moam"}, "`recipe` trains in one process"),
        ({"distributed": True, "minutes": 5.0}, "`minutes` trains in one process"),
        (
            {**PLACE, "distributed": True, "num_processes": 5},
            "`batch_size`=32 cannot be divided over 5 processes",
        ),
    ],
)
def test_wrong_settings(changes, text):
    with pytest.raises(InputError, match=text):
        settings.check(Run(**changes))


def test_plugins_are_compared_by_their_content(tmp_path, monkeypatch):
    found = []
    for folder, value in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / folder / "plugin_of_process.py"
        path.parent.mkdir()
        path.write_text(f"VALUE = {value}\n")
        module = types.SimpleNamespace(__file__=str(path))
        monkeypatch.setitem(sys.modules, path.stem, module)
        found.append(processes._code([str(path)]))
    assert set(found[0]) == {
        *("backend", "keras", "numpy", keras.backend.backend(), "color_s4l"),
        "plug-in plugin_of_process",
    }
    assert found[0] == found[1] != found[2]


def test_process_id_outside_its_range():
    run = Run(**{**PLACE, "process_id": 2}, distributed=True)
    with (
        pytest.raises(InputError, match=r"`process_id` from 0 to 1\. Rec"),
        processes.joined(part(run, ProcessSettings), {}),
    ):
        pass


def test_without_a_cluster(monkeypatch):
    monkeypatch.setattr(processes.backend, "environment", lambda seconds: None)
    with (
        pytest.raises(InputError, match="`distributed` needs `coordinator`"),
        processes.joined(part(Run(distributed=True), ProcessSettings), {}),
    ):
        pass


def test_an_error_of_a_detected_jax_cluster_is_reported(monkeypatch):
    jax = pytest.importorskip("jax")
    from color_s4l.backend.jax import environment

    def failing(**_):
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out.\nDetails")

    with mock.patch.object(jax.distributed, "initialize", failing):
        text = r"`distributed`: DEADLINE_EXCEEDED: Barrier timed out\. Details$"
        with pytest.raises(InputError, match=text):
            environment(5.0)


@pytest.mark.parametrize(("port", "beside"), [(9000, 10000), (65000, 64000)])
def test_tensorflow_port_of_the_library(port, beside, monkeypatch):
    pytest.importorskip("tensorflow")
    from color_s4l.backend.tensorflow import environment

    workers = [f"gpu01:{port}", f"gpu02:{port}"]
    config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert environment(5.0) == (f"gpu01:{beside}", 2, 1, workers[1])


def test_parts_of_a_step_are_the_whole_step(small):
    split = draw_split(small.labels, small.classes, 12, None, 0, 1)
    batches = StepBatches(
        small.images, small.labels, split, 4, 8, seed=1, alternating=True
    )
    whole = batches.batch(3)
    parts = [batches.part(number, 2).batch(3) for number in range(2)]
    assert len(whole["labels"]) == 4
    for name, array in whole.items():
        assert len(parts[0][name]) == 2
        both = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(both, array)


def test_divided_errors_are_those_of_all_images(small, groups, together, monkeypatch):
    def guessed(model, images, devices):
        return np.eye(4)[images.sum((1, 2, 3), dtype=int) % 4]

    monkeypatch.setattr(evaluation, "probabilities", guessed)
    network = types.SimpleNamespace(heads={evaluation.CLASSES: None})
    whole = evaluation.Evaluation(
        types.SimpleNamespace(network=network, evaluated=dict),
        None,
        small,
        np.arange(7),  # not divisible by 3, as the 32 test images
        types.SimpleNamespace(devices=1),
    )

    def measured(group):
        errors = whole.shared_measures(group)
        return {name: error() for name, error in errors.items()}

    expected = {name: error() for name, error in whole.measures().items()}
    assert len(small.test_images) % 3
    assert expected.keys() == {"test_error", "validation_error"}
    for found in together(measured, *zip(groups, strict=True)):
        assert found == pytest.approx(expected)


def test_several_processes_on_jax_need_compiled_steps(monkeypatch):
    pytest.importorskip("jax")
    from color_s4l.backend import jax

    monkeypatch.setattr(session.backend, "COMPILES_TOGETHER", jax.COMPILES_TOGETHER)
    run = Run(**PLACE, distributed=True, jit_compile=False)
    with pytest.raises(InputError, match="`distributed` needs compiled steps on JAX"):
        session.start(run)


def test_processes_with_other_pixels_differ(small):
    split = draw_split(small.labels, small.classes, 12, None, 0, 1)
    changed = small.images.copy()
    changed[0, 0, 0, 0] ^= 1
    found = [
        session._described(
            Inputs(
                dataclasses.replace(small, images=images),
                split,
                InputFiles(None, None, None, None),
                None,
            )
        )
        for images in (small.images, small.images.copy(), changed)
    ]
    assert found[0] == found[1]
    different = [name for name in found[0] if found[0][name] != found[2][name]]
    assert different == ["pixels of 100 images"]


def _start(backend, jobs):
    flags = {"XLA_FLAGS": XLA_FLAGS} if backend == "jax" else {}
    return subprocess.Popen(
        [sys.executable, SCRIPT, json.dumps(jobs)],
        env={**os.environ, "KERAS_BACKEND": backend, **flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_processes_equal_one(backend, tiny, address, weights, gap, tmp_path):
    base = dataclasses.replace(
        tiny,
        method=METHOD,
        unlabeled=16,
        validation=0,
        dropout=0.0,
        zca=False,
        learning_rate=0.001,
    )
    started = {}
    for kind, count in (("one", 1), ("two", 2)):
        for number in range(count):
            run = dataclasses.replace(base, run_dir=str(tmp_path / kind))
            if count > 1:
                run = dataclasses.replace(
                    run,
                    distributed=True,
                    coordinator=address,
                    num_processes=count,
                    process_id=number,
                )
            if backend == "jax":
                run = dataclasses.replace(run, jit_compile=None)
            jobs = [{"run": dataclasses.asdict(run), "bare": True, "drawn": True}]
            started[kind, number] = _start(backend, jobs)
    printed = {which: process.communicate()[0] for which, process in started.items()}
    for which, process in started.items():
        assert process.returncode == 0, printed[which]
    one, two = (weights(tmp_path / kind, 2) for kind in ("one", "two"))
    # Another loss, other batch statistics or other targets differ by much more.
    assert gap(one, weights(tmp_path / "one", 1)) > 100 * LIMIT
    assert gap(one, two) < LIMIT
    assert (tmp_path / "two" / "log.csv").read_text().count("\n") == 3
