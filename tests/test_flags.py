"""The flagfiles: published settings, read like a user's command.

The expected values are written from the papers and their published code.
"""

import dataclasses
import pathlib
import re

import numpy as np
import pytest

from benchmarks import summary
from color_s4l import command_line, data, methods, settings
from color_s4l.recipes import procedure
from color_s4l.report import published
from color_s4l.settings import Run
from color_s4l.training import build, session
from color_s4l.training.schedules import Schedule

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
FAST = sorted(FLAGS.glob("fast/*.cfg"))
# Settings of the seeds and of their baselines, on CIFAR-10.
OTHERS = sorted(
    path
    for folder in ("baselines", "scarce", "student")
    for path in (FLAGS / folder).iterdir()
)
FILES = sorted(set(FLAGS.rglob("*.cfg")) - {*FAST, *OTHERS, *FLAGS.glob("s4l/*.cfg")})
TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn_cropped": 73_257}
NAMES = {"cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn_cropped"}
# Folder -> method, batch, epochs, epochs on SVHN, head dropout, the same on SVHN.
SETTINGS = {
    "color_s4l": ("color_s4l", 32, 30, 30, 0.5, 0.5),
    "sesemi": ("sesemi", 32, 30, 30, 0.5, 0.5),
    "six_networks": ("sesemi", 32, 20, 30, 0.5, 0.5),
    "supervised": ("supervised", 32, 30, 30, 0.5, 0.5),
    "asl": ("sesemi", 16, 300, 300, 0.2, 0.5),
    "sesemi_v2": ("sesemi", 16, 50, 30, 0.2, 0.5),
    "usb": ("fixmatch", 448, 9447, None, 0, None),
}
VIEWS = {"color_s4l": 7, "sesemi": 6, "supervised": 7}


def name_of(path):
    return str(path.relative_to(FLAGS).with_suffix(""))


every_file = pytest.mark.parametrize("path", FILES, ids=name_of)


def read(path):
    return command_line.parse(Run, [f"--flagfile={path}"], "")


def test_every_published_setting_has_a_file():
    found = {folder: len(list((FLAGS / folder).glob("*.cfg"))) for folder in SETTINGS}
    # Three data sets each; Shake-WRN on SVHN, and WRN-28-4 on CIFAR-100.
    assert (found.pop("color_s4l"), found.pop("sesemi"), found.pop("usb")) == (4, 5, 2)
    assert set(found.values()) == {3}
    assert {path.parent.name for path in FILES} == set(SETTINGS)


@every_file
def test_a_flagfile_has_the_published_settings(path):
    values, folder = summary.reference(path), path.parent.name
    dataset = NAMES[path.stem.removeprefix("fixmatch_").split("_")[0]]
    svhn = dataset.startswith("svhn")
    method, batch, epochs, epochs_svhn, dropout, dropout_svhn = SETTINGS[folder]
    assert (values["method"], values["batch_size"]) == (method, batch)
    assert (values["dataset"], values["labels"]) == (dataset, None)
    assert values["epochs"] == (epochs_svhn if svhn else epochs)
    assert values["dropout"] == (dropout_svhn if svhn else dropout)
    assert values["learning_rate"] == (0.03 if folder == "usb" else 0.05)
    assert values["labeled_only"] == (folder == "asl")
    network = path.stem.partition("_")[2] if folder in ("color_s4l", "sesemi") else ""
    expected = "wrn_28_2_usb" if folder == "usb" else network or "convnet"
    assert values["network"] == expected
    # Published code of Tran 2019: on SVHN no whitening, no flips, dropout in the trunk.
    assert values["hflip"] == (not svhn)
    assert values["zca"] == (not svhn and folder != "usb")
    assert values["trunk_dropout"] == (0.5 if svhn and expected == "convnet" else None)


@every_file
def test_its_steps_have_the_published_composition(path):
    values = summary.reference(path)
    if path.parent.name == "usb":
        assert values["labeled_batch"] == 64
        steps = data.steps_per_epoch(50_000, 448) * values["epochs"]
        assert steps == pytest.approx(2**20, rel=1e-4)
        return
    # 224 of each in Color-S4L, 96 in the second version of SESEMI.
    assert values["labeled_batch"] == VIEWS[values["method"]] * values["batch_size"]
    steps = data.steps_per_epoch(TRAINING_IMAGES[values["dataset"]], 16)
    if path.parent.name == "sesemi_v2" and values["dataset"] == "cifar10":
        assert steps * values["epochs"] == 156_250  # Tran 2019


@every_file
def test_the_commands_of_its_header_are_published_cells(path):
    header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert re.search(r"^# Published: (Chen 2020|Tran 2019|USB)", header, re.M)
    (command,) = re.findall(r"python -m color_s4l.train (.*)$", header, re.M)
    words = command.replace("--flagfile=", f"--flagfile={FLAGS.parent}/").split()
    run = command_line.parse(Run, words, "")
    (listed,) = re.findall(r"`--labels`\): ([^.]*)\.", header)
    counts = [int(word) for word in re.findall(r"\d+", listed)]
    assert run.labels in counts
    if "all labels" in listed:
        counts.append(TRAINING_IMAGES[run.dataset])
    networks = re.findall(r"`--network`\): (.*)\.", header)
    for network in networks[0].split(", ") if networks else [run.network]:
        for labels in counts:
            values = {"recipe": None, "labeled_only": run.labeled_only}
            method = published.published_method_of({**values, "method": run.method})
            rows = published.comparable(run.dataset, labels)
            rows = rows[(rows["method"] == method) & (rows["network"] == network)]
            assert len(rows), (network, labels)


@every_file
def test_its_colorizer_is_trained_by_the_command_in_its_header(path):
    from colorization.train import Train

    run = read(path)
    commands = re.findall(r"python -m colorization.train (.*)$", path.read_text(), re.M)
    assert bool(run.colorizer) == bool(commands)
    for command in commands:
        flags = command_line.parse(Train, command.split(), "")
        assert flags.output == run.colorizer
        assert (flags.dataset, flags.epochs) == {
            "cifar10": ("cifar10", 300),
            "cifar100": ("cifar100", 100),
            "svhn_cropped": ("cifar10", 100),
        }[run.dataset]


@pytest.mark.parametrize("path", sorted(FLAGS.glob("supervised/*.cfg")), ids=name_of)
def test_the_baseline_has_the_labelled_images_of_color_s4l(path):
    (counts,) = re.findall(
        r"Published numbers of labels .*: (.*)$", path.read_text(), re.M
    )
    fewest = int(counts.split(",")[0])
    run = read(path)
    settings = session.resolve(run, session.checked_terms(run), 32, fewest)
    assert settings.step.labeled_batch == 7 * run.batch_size


@pytest.mark.parametrize("path", FAST, ids=name_of)
def test_a_fast_file_has_the_settings_of_the_preset(path):
    run, preset = read(path), settings.PRESETS["fast"]
    other = {"epochs", "evaluate_every", "dataset"}
    if "supervised" in path.stem:
        other |= {"method", "set", "learning_rate", "flip_order"}
        other |= {"batch_size", "labeled_batch"}
    given = dataclasses.asdict(run)
    changed = {k for k, v in given.items() if v != getattr(Run(**preset), k)}
    assert changed == other - {"dataset"} | ({"dataset"} & changed)
    terms = session.checked_terms(run)
    assert session.resolve(run, terms, image_size=32).model.zca is False
    # The command in the header is the file's own.
    (words,) = re.findall(r"python -m color_s4l.train (.*)$", path.read_text(), re.M)
    assert words.split()[0] == f"--flagfile=flags/fast/{path.name}"


@pytest.mark.parametrize("path", OTHERS, ids=name_of)
def test_the_file_of_another_system_is_a_run(path):
    text = path.read_text(encoding="utf-8")
    (words,) = re.findall(r"python -m color_s4l.train (.*)$", text, re.M)
    assert words.split()[0] == f"--flagfile=flags/{name_of(path)}.cfg"
    words = words.replace("--flagfile=", f"--flagfile={FLAGS.parent}/").split()
    run = command_line.parse(Run, words, "")
    procedure.check(run)
    (listed,) = re.findall(r"`--labels`\): ([^.:;]*)[.;]", text)
    assert run.labels in [int(word) for word in re.findall(r"\d+", listed)]
    assert run.dataset == "cifar10"
    # Warm-ups that are shares of the run: 35 and 10 of 300 epochs.
    for own in procedure.runs_of(run):
        for term in methods.terms_of(own.method, own.set):
            if path.parent.name == "student" and getattr(term, "warm_up", 0):
                epochs = round(term.warm_up * own.epochs)
                assert epochs == {"vat": 35, "pseudo_label": 10}[path.stem]


@pytest.mark.parametrize("network", sorted({read(path).network for path in FILES}))
def test_its_network_can_be_built_at_the_published_width(network):
    run = next(run for run in map(read, FILES) if run.network == network)
    terms = session.checked_terms(run)
    settings = session.resolve(run, terms, image_size=32)
    built = build.build_network(settings.model, terms, (32, 32, 3), 10)
    assert built.num_parameters > 900_000
    assert methods.heads_of(terms, 10)["class"] == 10


def test_the_learning_rate_falls_as_the_square_root_of_the_rest():
    run = read(FLAGS / "sesemi/svhn.cfg")
    resolved = session.resolve(run, session.checked_terms(run), image_size=32)
    schedule = Schedule(resolved.optimization, steps_per_epoch=100)
    found = [float(schedule(share * 3000)) for share in (0, 0.75, 0.99, 1)]
    np.testing.assert_allclose(found, [0.05, 0.025, 0.005, 0], atol=1e-6)
