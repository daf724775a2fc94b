"""Flags, flagfiles and help; every mistake is one line and exit code 2."""

import dataclasses
import json
import pathlib
import re
import shutil
import time

import pytest

from color_s4l import commands, evaluate, train
from color_s4l.config import Run
from color_s4l.errors import InputError

FLAGS = [
    "dataset",
    "data_dir",
    "image_size",
    "labels",
    "unlabeled",
    "validation",
    "split_file",
    "colorizer",
    "method",
    "set",
    "network",
    "width",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "dropout",
    "seed",
    "zca",
    "hflip",
    "bn_stats",
    "dtype_policy",
    "jit_compile",
    "steps_per_execution",
    "devices",
    "deterministic",
    "run_dir",
    "resume",
    "verbosity",
]


def parse(*arguments):
    return commands.parse(Run, arguments, "")


def test_no_flags_are_the_published_settings():
    run = parse()
    assert run == Run()
    # Chen 2020, appendix 6.2 of the report.
    published = (run.batch_size, run.epochs, run.learning_rate, run.weight_decay)
    assert published == (32, 30, 0.05, 5e-4)
    assert (run.dropout, run.method, run.network, run.width) == (
        0.5,
        "color_s4l",
        "convnet",
        1,
    )


def test_every_flag_becomes_its_field():
    run = parse(
        "--dataset=cifar10",
        "--labels=1000",
        "--width=0.25",
        "--nozca",
        "--hflip=true",
        "--set=proxies.weight=2",
        "--set=supervised.weight=3",
        "--learning_rate",
        "0.1",
        "--resume",
    )
    assert run == Run(
        dataset="cifar10",
        labels=1000,
        width=0.25,
        zca=False,
        hflip=True,
        set=("proxies.weight=2", "supervised.weight=3"),
        learning_rate=0.1,
        resume=True,
    )


def test_a_flagfile_is_the_same_program(tiny, flags, tmp_path):
    words = flags(dataclasses.replace(tiny, set=("proxies.weight=2",)))
    path = tmp_path / "run.cfg"
    path.write_text("# a comment\n\n" + "\n".join(words) + "\n")
    assert parse(f"--flagfile={path}") == parse(*words)
    assert parse(f"--flagfile={path}").set == ("proxies.weight=2",)


def test_the_later_of_flag_and_flagfile_holds(tmp_path):
    path = tmp_path / "run.cfg"
    path.write_text("--epochs=7\n--labels=100\n")
    assert parse(f"--flagfile={path}", "--epochs=3") == Run(epochs=3, labels=100)
    assert parse("--epochs=3", f"--flagfile={path}") == Run(epochs=7, labels=100)


def test_the_repositorys_flagfiles_are_runs():
    folder = pathlib.Path(__file__).parents[1] / "flags"
    for path in folder.rglob("*.cfg"):
        assert isinstance(parse(f"--flagfile={path}"), Run), path


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        train.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    named = re.findall(r"^  --(\w+)", text, flags=re.MULTILINE)
    assert set(FLAGS) <= set(named)
    assert named == [field.name for field in dataclasses.fields(Run)]
    assert "[0.05]" in text
    assert "both|supervised" in text
    assert "python -m color_s4l.train --dataset=cifar100" in text


@pytest.mark.parametrize("module", ["color_s4l.train", "color_s4l.evaluate"])
def test_help_is_quick_and_loads_no_framework(module, python):
    started = time.monotonic()
    done = python("-X", "importtime", "-m", module, "--help")
    assert done.returncode == 0
    assert "python -m color_s4l" in done.stdout
    assert time.monotonic() - started < 8
    loaded = set(re.findall(r"\| +(keras|tensorflow|jax)$", done.stderr, re.MULTILINE))
    assert not loaded


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--labelz=4", "Unknown command line flag 'labelz'. Did you mean: labels"),
        ("--labels=many", "flag --labels=many: .*int"),
        ("--width=wide", "flag --width=wide: .*float"),
        ("--zca=maybe", "flag --zca=maybe: .*bool"),
        ("--bn_stats=none", r"value should be one of <both\|supervised>"),
        ("--dtype_policy=float8", "should be one of <float32"),
        ("--flagfile=no.cfg", r"no\.cfg"),
        ("labels=4", r"Expected flags \(--name=value\). Received: labels=4"),
        ("--dataset=no_such_images", "There is no data set 'no_such_images'"),
        ("--dataset=cifar1o", "Did you mean 'cifar10'"),
        ("--method=color_s4", "no method 'color_s4'. Did you mean 'color_s4l'"),
        ("--method=sesemi+color_s4l", "heads of 6 and of 7"),
        ("--network=convnets", "no network 'convnets'. Did you mean 'convnet'"),
        ("--set=proxies.wait=2", "no hyper-parameter 'wait'. It has: tasks, weight"),
        ("--set=proxies.weight=x", "expected float"),
        ("--labels=17", "--labels=17 is not divisible by the 4 classes"),
        ("--labels=9999", "--labels=9999, but there are only"),
        ("--unlabeled=9999", "--unlabeled=9999, but there are only"),
        ("--validation=9999", "--validation=9999, but there are only"),
        ("--data_dir=no_such_dir", "There is no folder no_such_dir"),
        ("--colorizer=no.h5", "no such file. Train a colorizer: python -m"),
        ("--split_file=no.csv", r"Cannot read no\.csv"),
        ("--epochs=0", "--epochs=0: expected at least 1"),
        ("--batch_size=0", "--batch_size=0: expected at least 1"),
        ("--width=-1", "--width=-1.0: expected more than 0"),
        ("--width=nan", "--width=nan: expected more than 0"),
        ("--learning_rate=0", "--learning_rate=0.0: expected more than 0"),
        ("--dropout=1", "--dropout=1.0: expected 0 <= p < 1"),
        ("--seed=-1", "--seed=-1: expected 0 or more"),
        ("--devices=3", "--batch_size=8 can't be divided over --devices=3"),
        ("--image_size=8", "12 px or more"),
    ],
)
def test_train_refuses(flag, text, tiny, flags, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_dir = tmp_path / "run"
    words = flags(dataclasses.replace(tiny, run_dir=str(run_dir)))
    line = refused(train.main([*words, flag]))
    assert re.search(text, line), line
    assert not (run_dir / "model.keras").exists()


def test_train_refuses_a_truncated_colorizer(tiny, flags, tmp_path, refused):
    path = tmp_path / "half.h5"
    content = pathlib.Path(tiny.colorizer).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    run = dataclasses.replace(tiny, colorizer=str(path), run_dir=str(tmp_path / "run"))
    line = refused(train.main(flags(run)))
    assert "damaged or not a colorizer" in line
    assert "Train a colorizer" in line


def test_train_refuses_an_existing_folder_and_other_flags(finished, flags, refused):
    line = refused(train.main(flags(finished)))
    assert "exists: go on with --resume, or give another --run_dir" in line
    changed = dataclasses.replace(finished, resume=True, width=0.5)
    line = refused(train.main(flags(changed)))
    assert "--width: 0.03 then, 0.5 now" in line


def test_train_refuses_where_it_cannot_write(tiny, flags, tmp_path, refused):
    (tmp_path / "file").write_text("")
    run = dataclasses.replace(tiny, run_dir=str(tmp_path / "file" / "run"))
    assert "Can't write to" in refused(train.main(flags(run)))


def test_interrupted_by_ctrl_c(tiny, flags, capsys, monkeypatch):
    from color_s4l.training import session

    def interrupt(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "fit", interrupt)
    assert train.main(flags(tiny)) == 130
    assert "--resume" in capsys.readouterr().err


def printed(name, text):
    """The number on the first line that begins with a name."""
    return float(re.search(rf"^{name} +([0-9.]+) %", text, re.MULTILINE)[1])


def test_evaluate_prints_the_runs_errors(finished, capsys):
    assert evaluate.main([f"--run={finished.run_dir}"]) == 0
    text = capsys.readouterr().out
    path = pathlib.Path(finished.run_dir) / "result.json"
    result = json.loads(path.read_text())
    assert printed("error", text) == pytest.approx(result["error"], abs=0.005)
    assert 0 <= printed("augmented", text) <= 100
    best = f"best       {result['best']['error']:.2f} % at epoch"
    assert f"{best} {result['best']['epoch']}, selected on test" in text


def test_evaluate_takes_a_model_file_and_moved_images(finished, small_dir, capsys):
    model = f"--model={finished.run_dir}/model.h5"
    images = ["--dataset=folder", f"--data_dir={small_dir}", "--image_size=16"]
    assert evaluate.main([model, *images]) == 0
    by_file = printed("error", capsys.readouterr().out)
    run = [f"--run={finished.run_dir}", f"--data_dir={small_dir}"]
    assert evaluate.main(run) == 0
    assert printed("error", capsys.readouterr().out) == by_file


def test_evaluate_refuses(finished, tmp_path, refused):
    assert "either --run=DIR or --model=FILE" in refused(evaluate.main([]))
    both = [f"--run={finished.run_dir}", "--model=model.keras"]
    assert "either --run=DIR or --model=FILE" in refused(evaluate.main(both))
    for words, text in (
        ([f"--run={tmp_path / 'no'}"], "There is no model at|is no run's folder"),
        ([f"--run={tmp_path}"], "is no run's folder: it has no readable config.json"),
        (["--model=no.keras"], r"There is no model at no\.keras"),
        ([f"--model={finished.run_dir}/log.csv"], "is no classifier of this library"),
        ([f"--model={finished.run_dir}/model.h5"], "knows 4 classes; digits has 10"),
    ):
        line = refused(evaluate.main(words))
        assert re.search(text, line), line


def test_evaluate_refuses_images_of_another_size(finished, small_dir, refused):
    words = [
        f"--model={finished.run_dir}/model.keras",
        "--dataset=folder",
        f"--data_dir={small_dir}",
    ]
    assert "(n, 16, 16, 3)" in refused(evaluate.main(words))


def test_evaluate_refuses_a_damaged_configuration(finished, tmp_path, refused):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"run": ')
    assert "config.json is damaged" in refused(
        evaluate.main([f"--run={tmp_path / 'run'}"])
    )


def test_our_own_faults_keep_their_traceback():
    def broken(record):
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        commands.run(broken, Run, "", [])
    assert issubclass(InputError, ValueError)
