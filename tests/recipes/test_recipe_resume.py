"""A recipe that was stopped, at whatever moments, ends as if it had not been."""

import dataclasses
import json

import numpy as np
import pytest

from color_s4l.recipes import procedure
from color_s4l.training import callbacks, session


class Interrupted(callbacks.Checkpoints):
    """Ends a run within a stage, after its first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if "cycle_1_phase_two" in str(self.folder) and epoch == 0:
            raise KeyboardInterrupt


def before_the_labels(run, dataset=None, fit=session.fit):
    """Ends it between two stages, before the first one's labels are written."""
    result = fit(run, dataset)
    if "cycle_2_phase_one" in run.run_dir:
        raise KeyboardInterrupt
    return result


def before_the_result(*_):
    """Ends it when all stages are complete."""
    raise KeyboardInterrupt


MOMENTS = [
    (callbacks, "Checkpoints", Interrupted),
    (session, "fit", before_the_labels),
    (procedure, "_copy", before_the_result),
]


@pytest.fixture(scope="module")
def stopped(two_cycles, tmp_path_factory):
    """Stopped at each moment, and gone on with: its folder."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    run = two_cycles(folder)
    for place, name, replacement in MOMENTS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, name, replacement)
            with pytest.raises(KeyboardInterrupt):
                procedure.fit(run)
        assert not (folder / "result.json").exists()
        run = dataclasses.replace(run, resume=True)
    procedure.fit(run)
    return folder


def test_the_weights_of_all_stages_are_the_same(stopped, alternating, arrays, names):
    for name in ("", *names):
        pairs = zip(arrays(stopped / name), arrays(alternating / name), strict=True)
        for ours, others in pairs:
            np.testing.assert_allclose(ours, others, rtol=1e-5, atol=1e-6)


def test_the_labels_and_results_are_the_same(stopped, alternating, names):
    for name in (names[1], names[3]):
        ours, others = (
            dict(np.load(folder / name / "pseudo_labels.npz"))
            for folder in (stopped, alternating)
        )
        np.testing.assert_array_equal(ours["index"], others["index"])
        np.testing.assert_allclose(
            ours["probabilities"], others["probabilities"], atol=1e-4
        )
    ours, others = (
        json.loads((folder / "result.json").read_text())["stages"]
        for folder in (stopped, alternating)
    )
    assert [s["stage"] for s in ours] == names
    assert [s["error"] for s in ours] == [s["error"] for s in others]


def test_nothing_unfinished_remains(stopped):
    assert not list(stopped.rglob(".unfinished-*"))
