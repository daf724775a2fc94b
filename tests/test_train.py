"""Every wrong setting of color_s4l.train is one line and exit code 2."""

import dataclasses
import pathlib

import pytest

from color_s4l import train
from color_s4l.recipes import procedure


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
        ("--resize=stretch", r"should be one of <crop\|pad>"),
        ("--labels_csv=no.csv", r"Cannot read .*no\.csv: No such file"),
        ("--test_fraction=0.5", "--test_fraction"),
        ("--dtype_policy=float8", "should be one of <float32"),
        ("--flagfile=no.cfg", r"no\.cfg"),
        ("labels=4", r"Expected flags \(--name=value\). Received: labels=4"),
        ("--dataset=no_such_images", "There is no data set 'no_such_images'"),
        ("--dataset=cifar1o", "Did you mean 'cifar10'"),
        ("--method=color_s4", "no method 'color_s4'. Did you mean 'color_s4l'"),
        ("--method=sesemi+color_s4l", "has the term .proxies. twice"),
        ("--network=convnets", "no network 'convnets'. Did you mean 'convnet'"),
        ("--plugins=no.py", "There is no plug-in file .*no.py"),
        ("--set=proxies.wait=2", "no hyper-parameter 'wait'. Did you mean 'weight'"),
        ("--set=proxies.weight=x", "to be of type float. Received: .x."),
        ("--labels=17", "--labels=17 .*divisible by the 4 classes"),
        ("--labels=9999", "--labels=9999, but there are only"),
        ("--unlabeled=9999", "--unlabeled=9999, but there are only"),
        ("--validation=9999", "--validation=9999, but there are only"),
        ("--data_dir=no_such_dir", "There is no (folder|directory) no_such_dir"),
        ("--colorizer=no.h5", "[Nn]o such file.* Train a colorizer"),
        ("--split_file=no.csv", "--split_file already .* used: remove --labels"),
        ("--labeled_only=true", "uses no other images: remove --unlabeled"),
        ("--milestones=3", "--milestones can only be used with --schedule=steps"),
        ("--milestones=3,x", "Expected --milestones to be epochs above 0, separated"),
        ("--epochs=0", "Expected --epochs to be 1 or more. Received: 0"),
        ("--width=nan", "Expected --width to be more than 0. Received: nan"),
        ("--dropout=1", "Expected --dropout to be from 0 to less than 1. Received: 1"),
        ("--seed=-1", "Expected --seed to be from 0 to less than 4.*e.09"),
        ("--devices=3", "--batch_size=8 cannot be divided over --devices=3"),
        ("--balance --method=rotnet", "--balance needs a method with a class loss"),
        ("--image_size=8", "px or more"),
        ("--image_size=49 --zca", "--zca whitens images of up to 48 px"),
    ],
)
def test_train_refuses(flag, text, train_refuses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_refuses(text, *flag.split())


def test_train_refuses_a_missing_split_file(train_refuses, tmp_path):
    apart = {"labels": None, "unlabeled": None, "validation": 0}
    path = str(tmp_path / "no.csv")
    train_refuses(r"no\.csv: No such file", **apart, split_file=path)


def test_train_refuses_a_truncated_colorizer(tiny, train_refuses, tmp_path):
    path = tmp_path / "half.h5"
    content = pathlib.Path(tiny.colorizer).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    train_refuses("damaged .*Train a colorizer", colorizer=str(path))


def test_train_refuses_directories_that_it_cannot_use(
    tiny, finished, flags, tmp_path, refused
):
    line = refused(train.main(flags(finished)))
    assert "exists: continue with --resume, or choose another --run_dir" in line
    changed = dataclasses.replace(finished, resume=True, width=0.5)
    assert "(--width: 0.03 before, 0.5 now)" in refused(train.main(flags(changed)))
    (tmp_path / "holiday.png").write_text("")
    run = dataclasses.replace(tiny, resume=True, run_dir=str(tmp_path))
    assert "is not a run directory: choose" in refused(train.main(flags(run)))
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]
    run = dataclasses.replace(tiny, run_dir=str(tmp_path / "holiday.png" / "run"))
    assert "Cannot write to" in refused(train.main(flags(run)))


def test_ctrl_c_says_how_to_continue(tiny, flags, capsys, monkeypatch):
    def interrupt(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(procedure, "fit", interrupt)
    assert train.main(flags(tiny)) == 130
    assert "--resume" in capsys.readouterr().err
