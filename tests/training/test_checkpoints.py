"""Checkpoints: complete, written atomically, and replaced by older ones if damaged."""

import os
import resource
import signal

import keras
import numpy as np
import pytest

from color_s4l.data import draw_split
from color_s4l.errors import InputError
from color_s4l.training import callbacks, checkpoints


@pytest.fixture(scope="module")
def learner(make_learner):
    return make_learner()[0]


def head(learner):
    return learner.network.heads["class"].bias


def save_with(learner, folder, *epochs):
    for epoch in epochs:
        head(learner).assign(np.full(4, epoch, "float32"))
        checkpoints.save(learner, folder, epoch)


def names(folder):
    return [path.name for path in checkpoints.saved(folder)]


def test_keeps_the_last_two_in_order(learner, tmp_path):
    save_with(learner, tmp_path, 9, 10, 11)
    assert names(tmp_path) == ["epoch_00010.npz", "epoch_00011.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names(tmp_path)


def test_restores_everything(learner, make_learner, tmp_path):
    save_with(learner, tmp_path, 3)
    learner.optimizer.iterations.assign(17)
    checkpoints.save(learner, tmp_path, 4)
    other, batches = make_learner(seed=2)
    other.train_on_batch(batches.batch(0))
    assert checkpoints.restore(other, tmp_path) == 4
    pairs = zip(
        [*other.network.variables, *other.optimizer.variables, other.draws_seed.state],
        [
            *learner.network.variables,
            *learner.optimizer.variables,
            learner.draws_seed.state,
        ],
        strict=True,
    )
    for found, expected in pairs:
        equal = keras.ops.convert_to_numpy(found) == keras.ops.convert_to_numpy(
            expected
        )
        assert equal.all(), found.path
    assert int(other.optimizer.iterations) == 17


def test_nothing_to_restore(learner, tmp_path):
    assert checkpoints.restore(learner, tmp_path) == 0


@pytest.mark.parametrize("left", [0, 100, 0.5, 0.99, "flipped"])
def test_a_damaged_file_is_replaced_by_the_one_before(learner, tmp_path, left):
    save_with(learner, tmp_path, 1, 2)
    newest = tmp_path / "epoch_00002.npz"
    content = bytearray(newest.read_bytes())
    if left == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        del content[int(left * len(content)) if isinstance(left, float) else left :]
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=r"epoch_00002\.npz cannot be read; trying"):
        assert checkpoints.restore(learner, tmp_path) == 1
    assert float(head(learner)[0]) == 1


def test_an_interrupted_write_leaves_no_file(learner, tmp_path, monkeypatch):
    save_with(learner, tmp_path, 1)

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(learner, tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_00001.npz"]


def test_a_full_disk_leaves_the_last_good_checkpoint(learner, tmp_path):
    save_with(learner, tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"epoch_00002\.npz"):
            save_with(learner, tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["epoch_00001.npz"]
    assert len(list(tmp_path.iterdir())) == 1
    assert checkpoints.restore(learner, tmp_path) == 1


def test_ctrl_c_waits_for_the_checkpoint(learner, tmp_path, monkeypatch):
    whole = np.savez

    def interrupted(file, **arrays):
        os.kill(os.getpid(), signal.SIGINT)
        whole(file, **arrays)

    monkeypatch.setattr(np, "savez", interrupted)
    callback = callbacks.Checkpoints(tmp_path, None)
    callback.set_model(learner)
    with pytest.raises(KeyboardInterrupt):
        callback.on_epoch_end(6)
    assert checkpoints.restore(learner, tmp_path) == 7


def test_another_split_is_refused(learner, small, tmp_path):
    splits = [draw_split(small.labels, small.classes, 16, 24, 0, s) for s in (1, 2)]
    checkpoints.save(learner, tmp_path, 1, split=splits[0])
    assert checkpoints.restore(learner, tmp_path, split=splits[0]) == 1
    with pytest.raises(InputError, match=r"epoch_00001.npz has another split"):
        checkpoints.restore(learner, tmp_path, split=splits[1])


def test_weights_that_are_not_finite_are_not_saved(make_learner, tmp_path):
    learner, _ = make_learner()
    checkpoints.save(learner, tmp_path, 1)
    head(learner).assign([0, 0, float("nan"), 0])
    with pytest.raises(InputError, match="not finite after epoch 2"):
        checkpoints.save(learner, tmp_path, 2)
    assert names(tmp_path) == ["epoch_00001.npz"]


@pytest.mark.parametrize("changes", [{"method": "sesemi"}, {"width": 0.05}])
def test_another_networks_state_is_refused(learner, make_learner, tmp_path, changes):
    checkpoints.save(make_learner(**changes)[0], tmp_path, 1)
    text = "Expected .* variables of this network and method in .*epoch_00001.npz"
    with pytest.raises(ValueError, match=text):
        checkpoints.restore(learner, tmp_path)
