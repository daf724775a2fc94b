"""The reversible stage of the PyTorch step does ours' work, and no more."""

import pytest

torch = pytest.importorskip("torch")

from benchmarks.pytorch.reversible import ReversibleStage  # noqa: E402


@pytest.fixture
def chain():
    """A function: a number of units to a reversible stage, and images for it."""

    def make(units):
        torch.manual_seed(0)
        return ReversibleStage(4, units), torch.randn(8, 4, 6, 6, requires_grad=True)

    return make


def test_a_reversible_stage_keeps_no_activation_but_its_last(chain):
    def kept(units):
        stage, images = chain(units)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.numel()), lambda kept: kept
        ):
            stage(images)
        return sum(sizes)

    assert kept(1) == kept(4) == 8 * 4 * 6 * 6


def test_a_recomputed_branch_moves_its_statistics_once(chain):
    stage, images = chain(2)
    outputs = stage(images)
    after = [buffer.clone() for buffer in stage.buffers()]
    outputs.sum().backward()
    assert all(map(torch.equal, stage.buffers(), after))
    mean = stage.branch1.first_norm.running_mean
    torch.testing.assert_close(mean, 0.01 * images[:, :2].mean((0, 2, 3)))


def test_a_recomputed_branch_computes_in_the_same_precision(chain):
    stage, images = chain(2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = stage(images)
    assert outputs.dtype == torch.float32
    found = []
    for branch in stage.children():
        branch.second_conv.register_forward_hook(
            lambda *hooked: found.append(hooked[-1].dtype)
        )
    outputs.sum().backward()
    assert found == 4 * [torch.bfloat16]
