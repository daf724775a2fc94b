"""Checkpoints: complete, and replaced by the one before if damaged."""

import os
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
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_are_kept_in_order(learner, tmp_path):
    assert checkpoints.restore(learner, tmp_path) == 0
    save_with(learner, tmp_path, 9, 10, 11)
    assert names(tmp_path) == ["epoch_00010.npz", "epoch_00011.npz"]
    assert [p.name for p in checkpoints.saved(tmp_path)] == names(tmp_path)


def test_everything_is_restored(learner, make_learner, tmp_path):
    def state(learner):
        optimizer, network = learner.optimizer.variables, learner.network.variables
        variables = [*network, *optimizer, learner.draws_seed.state]
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    learner.optimizer.iterations.assign(17)
    save_with(learner, tmp_path, 4)
    other, batches = make_learner(seed=2)
    other.train_on_batch(batches.batch(0))
    assert checkpoints.restore(other, tmp_path) == 4
    for found, expected in zip(state(other), state(learner), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert int(other.optimizer.iterations) == 17


@pytest.mark.parametrize("damage", ["empty", "half", "flipped"])
def test_a_damaged_file_is_replaced_by_the_one_before(learner, tmp_path, damage):
    save_with(learner, tmp_path, 1, 2)
    newest = tmp_path / "epoch_00002.npz"
    content = bytearray(newest.read_bytes())
    middle = len(content) // 2
    if damage == "flipped":
        content[middle] ^= 0xFF
    else:
        del content[middle if damage == "half" else 0 :]
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=r"epoch_00002\.npz cannot be used; trying"):
        assert checkpoints.restore(learner, tmp_path) == 1
    assert float(head(learner)[0]) == 1


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
    with pytest.raises(InputError, match=r"epoch_00001\.npz has another split"):
        checkpoints.restore(learner, tmp_path, split=splits[1])


def test_another_networks_state_is_refused(learner, make_learner, tmp_path):
    checkpoints.save(make_learner(method="sesemi")[0], tmp_path, 1)
    text = r"Expected .* variables of this model and optimizer in .*epoch_00001\.npz"
    with (
        pytest.warns(UserWarning, match="cannot be used"),
        pytest.raises(InputError, match=text),
    ):
        checkpoints.restore(learner, tmp_path)


CHANGES = {
    "names": None,
    "00003": None,
    "note": None,
    "names ": np.array("text"),
    "note ": np.array("[1]"),
    "note  ": np.array("{}"),
    "00003 ": np.zeros(2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_with_another_entry_is_replaced_by_the_one_before(
    learner, tmp_path, change
):
    save_with(learner, tmp_path, 1, 2)
    newest = tmp_path / "epoch_00002.npz"
    entries = dict(np.load(newest))
    del entries[change.strip()]
    if CHANGES[change] is not None:
        entries[change.strip()] = CHANGES[change]
    np.savez(newest, **entries)
    with pytest.warns(UserWarning, match=r"epoch_00002\.npz cannot be used; trying"):
        assert checkpoints.restore(learner, tmp_path) == 1
    assert float(head(learner)[0]) == 1


def test_weights_that_are_not_finite_are_not_saved(learner, tmp_path):
    save_with(learner, tmp_path, 1)
    head(learner).assign([0, 0, float("nan"), 0])
    with pytest.raises(InputError, match="not finite after epoch 2"):
        checkpoints.save(learner, tmp_path, 2)
    head(learner).assign([0, 0, 0, 0])
    assert names(tmp_path) == ["epoch_00001.npz"]
