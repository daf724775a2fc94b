"""The passes of a step share few cores by taking one each."""

import keras
import pytest

from color_s4l import backend, methods
from color_s4l.settings import Run
from color_s4l.training import session


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (Run(colorizer="c.h5"), [2]),
        (Run(method="sesemi"), [2]),
        (Run(method="supervised"), [1]),
        (Run(), []),  # it trains a colorizer, too
        (Run(method="sesemi", labeled_batch=4), []),
        (Run(method="vat"), []),
        (Run(method="sesemi+mean_teacher"), []),
    ],
)
def test_only_equal_passes_are_shared_out(run, expected, monkeypatch):
    found = []
    monkeypatch.setattr(backend, "share_cores", found.append)
    session.start(run, methods.terms_of(run.method))
    assert found == expected


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")
@pytest.mark.parametrize(
    ("cores", "passes", "gpus", "expected"),
    [
        (2, 2, [], [1]),
        (2, 3, [], [1]),
        (2, 1, [], []),
        (4, 3, [], []),
        (1, 2, [], []),
        (2, 2, ["GPU:0"], []),
    ],
)
def test_each_pass_has_a_core_where_there_are_no_more(
    cores, passes, gpus, expected, monkeypatch
):
    import tensorflow as tf

    found = []
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(backend, "_cores", lambda: cores)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: gpus)
    setter = "set_intra_op_parallelism_threads"
    monkeypatch.setattr(tf.config.threading, setter, found.append)
    backend.share_cores(passes)
    assert found == expected
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    backend.share_cores(passes)
    assert found == expected
