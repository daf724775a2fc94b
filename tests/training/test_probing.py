"""Runs of `probe` and `knn`: run directories like those of every other method."""

import dataclasses
import json
import pathlib
import types

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import color_s4l
from color_s4l import data, export, predict
from color_s4l.artifacts import models, tables
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.networks import Network, structure
from color_s4l.report import __main__ as report
from color_s4l.settings import DataSettings, part
from color_s4l.training import probing, session
from color_s4l.views.preprocessing import Preprocessing

pytestmark = pytest.mark.usefixtures("untraced")

METHODS = ("probe", "knn")


@pytest.fixture(scope="module")
def probed(base, finished, tmp_path_factory):
    """A function of a method: the directory of its run on the trunk of `finished`."""
    folder = tmp_path_factory.mktemp("probes")

    def train(method):
        run = dataclasses.replace(
            base,
            method=method,
            # The last layer, so that the neighbours' trunk is the whole trunk.
            probe_layer="block3_3" if method == "knn" else None,
            zca=None,
            epochs=7,
            dtype_policy="mixed_bfloat16",
            init_from=finished.run_dir,
            run_dir=str(folder / method),
            resume=True,
        )
        color_s4l.fit(run)
        return folder / method

    return train


def encoder_of(run_dir):
    """The pooled features of a classifier's file."""
    model, _ = models.load(run_dir / "model.keras")
    return keras.Model(model.input, model.get_layer("pool").output)


@pytest.mark.parametrize("method", METHODS)
def test_a_probe_has_a_run_directory_like_any_run(method, probed, small, tmp_path):
    folder = probed(method)
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    expected = """config.json split.csv log.csv result.json model.keras model.h5
    heads.npz samples.npz pictures/curves.png
    pictures/confusion.png"""
    assert found == set(expected.split())
    result = json.loads((folder / "result.json").read_text())
    log = pd.read_csv(folder / "log.csv")
    assert log["epoch"].tolist() == [1] == [result["epoch"]]
    assert set(log) == {"epoch", "images_per_second", "seconds"}
    assert "best" not in result
    assert (result["labels"], result["test_images"]) == (16, 32)
    assert result["images_per_second"] > 0
    config = json.loads((folder / "config.json").read_text())
    # As given, and as used.
    assert (config["run"]["epochs"], config["settings"]["epochs"]) == (7, 1)
    assert config["settings"]["dtype_policy"] == "float32"
    classifier = color_s4l.load(folder)
    error = classifier.error_rate(small.test_images, small.test_labels)
    assert error == pytest.approx(result["error"])
    other = keras.models.load_model(folder / "model.h5")
    assert other.predict(small.test_images, verbose=0) == pytest.approx(
        classifier.network.predict(small.test_images, verbose=0), abs=1e-5
    )
    assert tables.rows([folder]).iloc[0]["method"] == method
    assert report.main([str(folder), f"--output={tmp_path / 'page.html'}"]) == 0


def test_the_exported_probe_predicts_what_scikit_learn_predicts(probed, small, base):
    folder = probed("probe")
    encoder = encoder_of(folder)
    images = data.load(part(base, DataSettings))
    split = data.read_split(folder / "split.csv", images)
    labeled = encoder.predict(images.images[split.labeled], verbose=0)
    labels, found = images.labels[split.labeled], color_s4l.load(folder)
    tests = encoder.predict(small.test_images, verbose=0)
    with np.load(folder / "samples.npz") as stored:
        predicted = stored["predicted"]
    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": 10.0 ** np.arange(-5, 3)},
        scoring="neg_log_loss",
        cv=StratifiedKFold(4, shuffle=True, random_state=base.seed),
    ).fit(labeled.astype("float64"), labels)
    wanted = model.predict_proba(tests)
    # Without the temperature of the calibration.
    own = found.network.predict(small.test_images, verbose=0)
    assert own == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(wanted) > 0.001
    assert predicted.tolist() == wanted.argmax(axis=1).tolist()


def test_the_trunk_is_that_of_the_first_run(probed, finished):
    before, after = (
        models.load(RunDirectory(pathlib.Path(path)).model())[0].get_layer("trunk")
        for path in (finished.run_dir, probed("probe"))
    )
    before = structure.cut(before, structure.widest_layer(before))
    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(before.trainable_weights) == len(after.trainable_weights) > 0


def test_features_are_computed_once(probed, finished, base, tmp_path, monkeypatch):
    folder = probed("probe")
    seen = []
    predict_all = keras.Model.predict

    def counted(model, *others, **named):
        seen.append(model.name)
        return predict_all(model, *others, **named)

    monkeypatch.setattr(keras.Model, "predict", counted)
    values = json.loads((folder / "config.json").read_text())["run"]
    run = color_s4l.settings.from_json(values)
    for name, seed in (("same", run.seed), ("other", run.seed + 1)):
        changes = {"run_dir": str(tmp_path / name), "resume": False, "seed": seed}
        session.train(dataclasses.replace(run, **changes))
        # Another seed has other labelled images.
        assert seen.count("encoder") == (name == "other")
    one, other = (
        color_s4l.load(path).network.get_weights()
        for path in (folder, tmp_path / "same")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_cache_key_depends_on_weights_and_layers():
    def keys(normalization="contrast", slope=0.1, change=0.0):
        inputs_ = keras.Input((8, 8, 3))
        features = keras.layers.Conv2D(2, 3, name="conv")(inputs_)
        features = keras.layers.LeakyReLU(slope, name="activation")(features)
        network = Network(keras.Model(inputs_, features, name="trunk"), {}, 0.0)
        network(np.zeros((1, 8, 8, 3), "float32"))
        weights = network.trunk.get_weights()
        network.trunk.set_weights([np.full_like(w, 1 + change) for w in weights])
        preprocessing = Preprocessing(False, normalization)
        preprocessing.build((None, 8, 8, 3))
        encoder = probing.Encoder(network, preprocessing)
        return encoder.architecture, models.digest(encoder)

    # Built twice in one process.
    assert keys() == keys()
    assert keys()[1] != keys(change=0.5)[1]
    assert keys()[0] != keys(slope=0.2)[0]
    assert keys()[0] != keys(normalization="channels")[0]


def test_a_probe_of_random_weights_is_warned_about(base, tmp_path):
    run = dataclasses.replace(base, method="knn", run_dir=str(tmp_path / "run"))
    text = "`method`=knn uses the features of random weights: set `init_from`"
    with pytest.warns(UserWarning, match=text):
        result = session.train(run)
    assert 0 <= result["error"] <= 100


def test_predict_and_export_work(probed, small_dir, tmp_path, capsys):
    words = [f"--output={tmp_path / 'model.keras'}", "--format=keras"]
    assert export.main([f"--model={probed('probe')}", *words]) == 0
    for model in (tmp_path / "model.keras", probed("knn")):
        table = tmp_path / f"{model.stem}.csv"
        words = [f"--images={small_dir / 'test'}", f"--output={table}"]
        assert predict.main([f"--model={model}", *words]) == 0
        assert len(pd.read_csv(table)) == 32
    words = [f"--output={tmp_path / 'knn.keras'}", "--format=keras"]
    assert export.main([f"--model={probed('knn')}", *words]) == 2
    assert "(NearestNeighbours) is not one of Keras' own" in capsys.readouterr().err


def test_every_run_has_the_probe_of_its_features(finished, base, small, monkeypatch):
    folder = pathlib.Path(finished.run_dir)
    found = json.loads((folder / "result.json").read_text())["probe_error"]
    classifier = color_s4l.load(folder)
    labeled = data.read_split(folder / "split.csv", small).labeled
    _, known = classifier.predict_with_features(small.images[labeled])
    _, tests = classifier.predict_with_features(small.test_images)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(known.astype("float64"), small.labels[labeled])
    error = 100 - 100 * model.score(tests.astype("float64"), small.test_labels)
    assert found == pytest.approx(error, abs=100 / 32 + 1e-6)  # one image, by rounding
    monkeypatch.setattr(probing, "MOST_VALUES", 10)
    network = types.SimpleNamespace(trunk=classifier.network.get_layer("trunk"))
    assert probing.error_of(network, None, small, labeled, 1) is None


def test_neighbours_are_no_initial_head(probed, train_refuses):
    start = {"init_from": str(probed("knn")), "init_heads": True}
    text = "the head 'class' of .*knn is not a dense layer .--method=knn.: leave"
    train_refuses(text, method="supervised", **start)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "probe+vat"}, "probe cannot be a part of a sum, because it has no"),
        ({"balance": True}, "`?-*balance`? needs a term that weights classes"),
        ({"devices": 2, "batch_size": 8}, "uses one device. Received: --devices=2"),
        ({"final_weights": "average"}, "not to be set for --method=probe"),
        ({"probe_layer": "block3_9"}, "There is no layer 'block3_9'"),
        ({"method": "vat", "probe_layer": "x"}, "needs --method=probe or knn"),
        ({"set": ("probe.a=1",)}, "no term 'probe'"),
    ],
)
def test_settings_without_meaning_are_refused(changes, text, train_refuses):
    train_refuses(text, **{"method": "probe", **changes})
