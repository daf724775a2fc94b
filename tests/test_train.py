"""Every mistake in the flags of color_s4l.train is one line and exit code 2."""

import dataclasses
import pathlib
import re

import pytest

from color_s4l import train


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--labelz=4", "Unknown command line flag 'labelz'. Did you mean: .*labels"),
        ("--labels=many", "flag --labels=many: .*int"),
        ("--width=wide", "flag --width=wide: .*float"),
        ("--zca=maybe", "flag --zca=maybe: .*bool"),
        ("--bn_stats=none", r"value should be one of <both\|supervised>"),
        ("--schedule=cosin", "should be one of <.*Did you mean 'cosine'"),
        ("--cache=disc", r"one of <memory\|disk\|none> Did you mean 'disk'"),
        ("--fit=stretch", r"should be one of <crop\|pad>"),
        ("--labels_csv=no.csv", r"Cannot read .*no\.csv: No such file"),
        ("--test_fraction=0.5", "test holds the test images: leave --test_fraction"),
        ("--dtype_policy=float8", "should be one of <float32"),
        ("--flagfile=no.cfg", r"no\.cfg"),
        ("labels=4", r"Expected flags \(--name=value\). Received: labels=4"),
        ("--dataset=no_such_images", "There is no data set 'no_such_images'"),
        ("--dataset=cifar1o", "Did you mean 'cifar10'"),
        ("--method=color_s4", "no method 'color_s4'. Did you mean 'color_s4l'"),
        ("--method=sesemi+color_s4l", "has the term .proxies. twice"),
        ("--network=convnets", "no network 'convnets'. Did you mean 'convnet'"),
        (
            "--set=proxies.wait=2",
            "no hyper-parameter 'wait'. Did you mean 'weight'. It has: tasks",
        ),
        ("--method=Sesemi", "no method 'Sesemi'. Did you mean 'sesemi'"),
        ("--set=proxies.weight=x", "expected float"),
        ("--labels=17", "--labels=17 is not divisible by the 4 classes"),
        ("--labels=9999", "--labels=9999, but there are only"),
        ("--unlabeled=9999", "--unlabeled=9999, but there are only"),
        ("--validation=9999", "--validation=9999, but there are only"),
        ("--data_dir=no_such_dir", "There is no folder no_such_dir"),
        ("--colorizer=no.h5", "no such file. Train a colorizer: python -m"),
        ("--split_file=no.csv", "--split_file says which .* leave --labels out"),
        ("--epochs=0", "--epochs=0: expected at least 1"),
        ("--batch_size=0", "--batch_size=0: expected at least 1"),
        ("--width=-1", "--width=-1.0: expected more than 0"),
        ("--width=nan", "--width=nan: expected more than 0"),
        ("--learning_rate=0", "--learning_rate=0.0: expected more than 0"),
        ("--dropout=1", "--dropout=1.0: expected 0 <= p < 1"),
        ("--seed=-1", "--seed=-1: expected 0 or more"),
        ("--seed=4294967296", r"--seed=4294967296: expected less than 2\*\*32"),
        ("--devices=3", "--batch_size=8 can't be divided over --devices=3"),
        ("--labeled_batch=0", "--labeled_batch=0: expected at least 1"),
        ("--image_size=8", "12 px or more"),
    ],
)
def test_train_refuses(flag, text, tiny, flags, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_dir = tmp_path / "run"
    words = flags(dataclasses.replace(tiny, run_dir=str(run_dir)))
    line = refused(train.main([*words, flag]))
    assert re.search(text, line), line
    assert not run_dir.exists()


def test_train_refuses_a_missing_split_file(tiny, flags, tmp_path, refused):
    run = dataclasses.replace(
        tiny,
        labels=None,
        unlabeled=None,
        validation=0,
        split_file=str(tmp_path / "no.csv"),
        run_dir=str(tmp_path / "run"),
    )
    assert "no.csv: No such file" in refused(train.main(flags(run)))
    assert not (tmp_path / "run").exists()


def test_train_refuses_to_whiten_large_images(tiny, flags, tmp_path, refused):
    run = dataclasses.replace(
        tiny, zca=True, image_size=49, run_dir=str(tmp_path / "run")
    )
    assert "--zca whitens images of up to 48 px" in refused(train.main(flags(run)))


def test_train_refuses_a_folder_of_something_else(tiny, flags, tmp_path, refused):
    (tmp_path / "holiday.png").write_text("")
    run = dataclasses.replace(tiny, resume=True, run_dir=str(tmp_path))
    assert "is no run's folder: give another" in refused(train.main(flags(run)))
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]


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
