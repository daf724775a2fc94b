"""Measured cases, numbers computed by hand, and refused settings."""

import dataclasses
import importlib.util

import pandas as pd
import pytest

from benchmarks import throughput
from benchmarks.speed import measure, worker
from benchmarks.speed.case import make_case
from benchmarks.speed.measure import FailedError, Measured, Process
from color_s4l.settings import Run

RUN = Run(width=0.03, batch_size=4, image_size=12)
CASE = make_case("tensorflow", RUN, 2)
TORCH = importlib.util.find_spec("torch") is not None


def case(**changes):
    return dataclasses.replace(CASE, values={**CASE.values, **changes})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The table of a tiny measurement."""
    path = tmp_path_factory.mktemp("throughput") / "new" / "speed.csv"
    words = ["--methods=color_s4l", "--dtype_policies=float32", "--width=0.03"]
    words += ["--image_size=12", "--batch_size=4", "--steps=2", "--repeats=3"]
    words += [f"--backends=tensorflow{',torch' * TORCH}", f"--output={path}"]
    assert throughput.main(words) == 0
    return path


def test_every_case_is_a_line_with_its_origin(written):
    found = pd.read_csv(written)
    assert found["backend"].tolist() == ["tensorflow", "torch"][: 1 + TORCH]
    assert found["remark"].isna().all()
    # 4 images with 7 views, and as many labelled ones.
    assert set(found["images_per_step"]) == {56}
    speed = found["images_per_step"] / found["seconds_per_step"]
    assert found["images_per_second"].tolist() == pytest.approx(speed, rel=1e-2)
    assert (found["slowest"] <= found["images_per_second"]).all()
    assert (found["fastest"] >= found["images_per_second"]).all()
    assert (found["process_MB"] > 100).all()
    assert set(found["n"]) == {3}
    for name in ("hardware", "versions", "date", "settings"):
        assert found[name].str.len().min() > 5


def test_costs_are_relative_to_supervised(written):
    ours = pd.read_csv(written).iloc[0]
    # How long a step this small takes is chance; that the two numbers agree is not:
    # twice as many images go through the trunk.
    assert ours["memory_to_supervised"] > 0.9
    both = ours["speed_to_supervised"] * ours["step_to_supervised"]
    assert both == pytest.approx(2, rel=0.01)


def test_shares_of_a_step_add_up(written):
    ours = pd.read_csv(written).iloc[0]
    parts = ours[["data", "views", "gradient", "rest"]]
    assert (parts >= 0).all()
    # How much of a step this small is which is chance.
    assert parts.sum() == pytest.approx(100, abs=0.3)


@pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")
def test_ratio_to_pytorch(written):
    ours, plain = (line for _, line in pd.read_csv(written).iterrows())
    expected = ours["images_per_second"] / plain["images_per_second"]
    assert ours["ratio_to_torch"] == pytest.approx(expected, rel=1e-2)
    assert plain["ratio_to_torch"] == 1


def test_markdown_has_a_line_per_case_and_the_origin(written):
    text = written.with_suffix(".md").read_text()
    found = pd.read_csv(written)
    lines = [line for line in text.splitlines() if line.startswith("| convnet")]
    assert len(lines) == len(found)
    assert f"{found['images_per_second'][0]}" in lines[0]
    assert '* settings: {"backends"' in text
    assert "device_MB" not in text  # empty on a CPU
    assert "nan" not in text


def of(one=CASE, seconds=(2.0, 1.0, 4.0), memory=300_000_000):
    known = {"process": memory, "device": None}
    return Measured(one, list(seconds), 10, known, ["CPU"])


def test_numbers_of_a_line_by_hand():
    # Median 2 s for 2 steps of 10 images: 10 images/s; 20 / 4 = 5 and 20 / 1 = 20.
    plain = of(seconds=(4.0,))  # 5 images/s
    supervised = of(seconds=(1.0,), memory=200_000_000)  # 20 images/s
    parts = {"data": 0.1, "views": 0.2, "gradient": 0.6}
    line = measure.row(of(), plain, supervised, parts)
    expected = {
        "images_per_second": 10,
        "slowest": 5,
        "fastest": 20,
        "seconds_per_step": 1,
        "ratio_to_torch": 2,
        "speed_to_supervised": 0.5,
        "step_to_supervised": 2,
        "memory_to_supervised": 1.5,
        "process_MB": 300,
        "device_MB": None,
        "data": 10,
        "views": 20,
        "gradient": 60,
        "rest": 10,
        "n": 3,
    }
    assert {name: line[name] for name in expected} == expected


def test_supervised_has_the_cost_1():
    line = measure.row(of(case(method="supervised")), None, None, {})
    assert line["step_to_supervised"] == line["memory_to_supervised"] == 1
    assert line["ratio_to_torch"] is None


def test_parts_longer_than_the_step_are_the_whole():
    parts = {"data": 0.5, "views": 0.5, "gradient": 1.0}
    line = measure.row(of(), None, None, parts)  # a step takes 1 s
    expected = {"data": 25, "views": 25, "gradient": 50, "rest": 0}
    assert {name: line[name] for name in expected} == expected


@pytest.fixture
def begun(monkeypatch):
    """The cases that a process is begun for; none runs, and `nin` fails at once."""
    cases = []

    class Stopped:
        images_per_step, devices = 10, ["CPU"]

        def __init__(self, case, cache):
            cases.append(case)
            if case.values["network"] == "nin":
                raise FailedError("MemoryError: too large")
            self.case = case

        def ask(self, function):
            answers = {worker.run: 2.0, worker.parts: {}}
            return answers.get(function, {"process": 1, "device": None})

        def close(self):
            pass

    monkeypatch.setattr(measure, "Process", Stopped)
    return cases


@pytest.mark.parametrize(
    ("flag", "methods", "cost"),
    [("--costs", ["supervised", "color_s4l"], 1), ("--nocosts", ["color_s4l"], None)],
)
def test_supervised_is_measured_for_costs_alone(begun, tmp_path, flag, methods, cost):
    path = tmp_path / "speed.csv"
    words = ["--methods=color_s4l", "--backends=tensorflow", "--dtype_policies=float32"]
    assert throughput.main([*words, flag, f"--output={path}"]) == 0
    assert [one.values["method"] for one in begun] == methods
    (line,) = pd.read_csv(path).to_dict("records")
    for name in ("speed", "step", "memory"):
        known = line.get(f"{name}_to_supervised")
        assert pd.isna(known) if cost is None else known == cost


def test_a_case_that_fails_is_a_row_and_the_others_are_measured(begun, tmp_path):
    cases = {"tensorflow": CASE, "jax": case(network="nin")}
    lines = measure.rows(cases, {}, str(tmp_path), repeats=1, parts=False)
    found = pd.DataFrame(lines).set_index("network")
    assert found.loc["nin", "remark"] == "MemoryError: too large"
    assert found.loc["convnet", "images_per_second"] == 10


def test_a_process_that_ends_early_says_why(tmp_path):
    with pytest.raises(FailedError, match="There is no method 'color_s5l'"):
        Process(case(method="color_s5l"), str(tmp_path))


def torch_case(**changes):
    return make_case("torch", dataclasses.replace(RUN, **changes), 2)


@pytest.mark.parametrize(
    ("changes", "tasks", "labeled", "zca"),
    [
        ({"method": "supervised"}, 0, 28, True),
        ({"method": "sesemi"}, 6, 24, True),
        ({}, 7, 28, True),
        ({"image_size": 96, "labeled_batch": 8}, 7, 8, False),
    ],
)
def test_the_plain_step_gets_the_resolved_settings(changes, tasks, labeled, zca):
    found = torch_case(**changes)
    assert len(found.tasks) == tasks
    assert found.values["labeled_batch"] == labeled
    assert found.values["zca"] == zca


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype_policy": "mixed_float16"},
        {"devices": 2},
        {"method": "color_s4l+polyak"},
        {"network": "nin"},
    ],
)
def test_cases_without_a_plain_step(changes):
    assert torch_case(**changes) is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--networks=convnet,resnet", "There is no network 'resnet'"),
        ("--methods=supervised,sesmi", "Did you mean 'sesemi'"),
        ("--backends=tensorflw", "There is no installed backend 'tensorflw'"),
        ("--dtype_policies=bfloat16", "float32 or mixed_bfloat16"),
        ("--repeats=0", "Expected --repeats to be 1 or more"),
        ("--width=0", "Expected --width to be more than 0"),
        ("--batch_size=five", "--batch_size"),
        ("--step=3", "Did you mean: steps"),
    ],
)
def test_refuses(word, message, refused):
    assert message in refused(throughput.main([word]))
