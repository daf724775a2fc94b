"""The passes of a step share few cores by taking one each."""

import keras
import psutil
import pytest

from color_s4l.training.backend import backend


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")
@pytest.mark.parametrize(
    ("cores", "passes", "expected"),
    [(2, 2, [1]), (2, 3, [1]), (2, 1, []), (4, 3, []), (1, 2, [])],
)
def test_each_pass_has_a_core_where_there_are_no_more(
    cores, passes, expected, monkeypatch
):
    import tensorflow as tf

    found = []
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda: cores)
    setter = "set_intra_op_parallelism_threads"
    monkeypatch.setattr(tf.config.threading, setter, found.append)
    backend.share_cores(passes)
    assert found == expected
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    backend.share_cores(passes)
    assert found == expected
