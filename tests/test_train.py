"""Every wrong setting of color_s4l.train is one line and exit code 2."""

import dataclasses
import pathlib

import pytest

from color_s4l import command_line, train
from color_s4l.recipes import procedure

# Words of the command line, and a regular expression that the error contains.
REFUSED = r"""
--labelz=4 => Unknown command line flag 'labelz'. Did you mean: .*labels
--labels=many => flag --labels=many: .*int
--width=wide => flag --width=wide: .*float
--zca=maybe => flag --zca=maybe: .*bool
--bn_stats=none => value should be one of <both\|supervised>
--schedule=cosin => should be one of <.*Did you mean 'cosine'
--cache=disc => one of <memory\|disk\|none> Did you mean 'disk'
--resize=stretch => should be one of <crop\|pad>
--dtype_policy=float8 => should be one of <float32
--flagfile=no.cfg => no\.cfg
labels=4 => Expected flags \(--name=value\). Received: labels=4
--plugins=no.py => There is no plug-in file .*no.py

--dataset=no_such_images => There is no data set 'no_such_images'
--dataset=cifar1o => Did you mean 'cifar10'
--data_dir=no_such_dir => There is no (folder|directory) no_such_dir
--labels_csv=no.csv => Cannot read .*no\.csv: No such file
--test_fraction=0.5 => --test_fraction
--image_size=8 => px or more
--image_size=49 --zca => --zca whitens images of up to 48 px

--labels=17 => --labels=17 .*divisible by the 4 classes
--labels=9999 => --labels=9999, but there are only
--unlabeled=9999 => --unlabeled=9999, but there are only
--validation=9999 => --validation=9999, but there are only
--split_file=no.csv => --split_file already .*images: remove --labels
--labeled_only => uses no other images: remove --unlabeled

--method=color_s4 => no method 'color_s4'. Did you mean 'color_s4l'
--method=sesemi+color_s4l => has the term .proxies. twice
--network=convnets => no network 'convnets'. Did you mean 'convnet'
--set=proxies.wait=2 => no hyper-parameter 'wait'. Did you mean 'weight'
--set=proxies.weight=x => to be of type float. Received: .x.
--balance --method=rotnet => --balance needs a term that weights classes

--epochs=0 => Expected --epochs to be 1 or more. Received: 0
--width=nan => Expected --width to be more than 0. Received: nan
--dropout=1 => Expected --dropout to be from 0 to less than 1. Received: 1
--seed=-1 => Expected --seed to be from 0 to less than 4.*e.09
--milestones=3 => --milestones can only be used with --schedule=steps
--milestones=3,x => Expected --milestones to be epochs above 0, separated
--devices=3 => --batch_size=8 cannot be divided over --devices=3
--freeze_blocks=-2 => Expected --freeze_blocks to be -1 or more. Received: -2

--colorizer=no.h5 => [Nn]o such file.* Train a colorizer
--colorizer={half} => damaged .*Train a colorizer
--init_heads => --init_heads needs --init_from: the run that has the heads
--init_from=no_such_run => There is no model at no_such_run
--init_from={half} => half.h5 is not a classifier of this library
--init_from={text} => text.h5 is not a classifier of this library
--init_from={colorizer} => set --network=encoder and --width=0.0625 \(it is a col
--init_from={colorizer} --network=encoder => another trunk: set --network=encoder a
--init_from={run} --network=encoder --width=0.0625 => another trunk: set the --netw
--init_from={run} --width=0.06 => another trunk: set the --network and --width
--init_from={run} --network=nin => contains another trunk
--init_from={run} --freeze_blocks=4 => network .*has 3 blocks
--weights=imagenet => --weights=imagenet needs .*=applications/.* Received: .*convnet
--weights={half} --init_from={run} => both weights of the trunk: remove one
--network=applications/mobilenetv3smal => Did you mean 'applications/mobilenetv3small'
--network=applications/mobilenetv3small --weights=no.h5 => no file of --weights at no.h5
--network=applications/mobilenetv3small --weights=none => 32 px or more. Received: 16
--network=applications/mobilenetv3small --weights=none --zca => --zca needs --normaliza
--trunk_rate=0 => Expected --trunk_rate to be more than 0. Received: 0
--crop_area=0 => Expected --crop_area to be from 0.01 to 1. Received: 0
--crop=zoom => should be one of <shift\|random_resized>
--method=supervised --pseudo_labels=no.npz => is not used by --method=supervised
--method=relabeled => earlier run: set --pseudo_labels to the file
--method=relabeled --pseudo_labels=no.npz => Cannot read no.npz
--method=relabeled --pseudo_labels={run}/heads.npz => no pseudo-labels

--stage=linear.epochs=2 => --stage=linear.epochs=2 needs a --recipe
--recipe=rotnet => no recipe 'rotnet'. Did you mean 'rotnet_
--recipe=refine => recipe refine starts from a run: set --init_from
--recipe=moam --method=sesemi => contains its own methods: remove --method
--recipe=moam --set=moam.rat=2 => no hyper-parameter 'rat'. Did you mean 'rate'
--recipe=alternating --set=alternating.cycles=0 => .cycles. to be 1 or more. Received
--recipe=alternating --set=alternating.share=1.5 => above 0, at most 1. Received: 1.5
--recipe=rotnet_linear --balance => Stage 'pretraining': --balance needs a
--recipe=rotnet_finetune --set=supervised.wieght=2 => Stage 'finetuning': .* 'wieght'
--recipe=rotnet_finetune --set=supervised.weight=-2 => 'finetuning': .*Received: -2
--recipe=moam --stage=relabeled.pseudo_labels= => Stage 'relabeled': --method=moam_r
--recipe=rotnet_linear --set=polyak.half_life=2 => no stage has a term 'polyak'
--recipe=rotnet_linear --stage=probe.epochs=2 => There are: pretraining, linear
--recipe=rotnet_linear --stage=linear.epoch=2 => no setting 'epoch'. Did you mean 'ep
--recipe=rotnet_linear --stage=linear.epochs=0 => Stage 'linear': Expected --epochs t
--recipe=rotnet_linear --stage=linear.stage=linear.epochs=2 => all stages share 'stag
--recipe=rotnet_linear --stage=linear.flagfile=mine => no setting 'flagfile'
--recipe=rotnet_linear --stage=pretraining.method=rotnot => Did you mean 'rotnet'
--recipe=moam --network=applications/mobilenetv3small --weights=no.h5 => no file of --we
--recipe=moam --stage=epochs=2 => Expected --stage=STAGE.FLAG=VALUE
"""


@pytest.fixture(scope="module")
def places(finished, colorizer_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    content = pathlib.Path(colorizer_file).read_bytes()
    (folder / "half.h5").write_bytes(content[: len(content) // 2])
    (folder / "text.h5").write_text("no model")
    named = {name: folder / f"{name}.h5" for name in ("half", "text")}
    return {**named, "colorizer": colorizer_file, "run": finished.run_dir}


@pytest.mark.parametrize("line", [line for line in REFUSED.splitlines() if line])
def test_train_refuses(line, places, train_refuses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, text = line.split(" => ")
    train_refuses(text, *words.format(**places).split())


def test_train_refuses_a_missing_split_file(train_refuses, tmp_path):
    apart = {"labels": None, "unlabeled": None, "validation": 0}
    path = str(tmp_path / "no.csv")
    train_refuses(r"no\.csv: No such file", **apart, split_file=path)


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


@pytest.mark.filterwarnings("default")  # shown, not raised
def test_a_new_run_with_resume_says_so(tiny, flags, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(procedure, "fit", lambda run: None)
    run = dataclasses.replace(tiny, run_dir=str(tmp_path / "mistpyed"), resume=True)
    assert train.main(flags(run)) == 0
    line = f"--resume: there is no run directory {tmp_path}/mistpyed. A new run is"
    assert line in capsys.readouterr().err


def test_wrong_values_are_refused_before_keras_is_imported(refused, monkeypatch):
    monkeypatch.setattr(command_line, "start_keras", lambda: pytest.fail("imported"))
    assert "--epochs to be 1 or more" in refused(train.main(["--epochs=0"]))


def test_ctrl_c_says_how_to_continue(tiny, flags, capsys, monkeypatch):
    def interrupt(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(procedure, "fit", interrupt)
    assert train.main(flags(tiny)) == 130
    assert "--resume" in capsys.readouterr().err
