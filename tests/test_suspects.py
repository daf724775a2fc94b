"""Wrong labels and near-duplicates, planted and found."""

import numpy as np
import pytest

from color_s4l import suspects


def test_confident_joint_by_hand():
    # Thresholds: mean of (0.9, 0.7, 0.2) = 0.6 and of (0.8, 0.35) = 0.575.
    first = np.array([0.9, 0.7, 0.2, 0.2, 0.65])
    labels = np.array([0, 0, 0, 1, 1])
    found, suggested = suspects.wrong_labels(np.stack([first, 1 - first], 1), labels)
    # Margins: 0.2 - 0.8 = -0.6 and 0.35 - 0.65 = -0.3.
    assert found.tolist() == [2, 4]
    assert suggested.tolist() == [1, 0]


def test_planted_wrong_labels_are_found():
    generator = np.random.default_rng(0)
    true = generator.integers(0, 3, 300)
    features = 6 * np.eye(3)[true] + generator.normal(size=(300, 3))
    given = true.copy()
    given[:9] = (given[:9] + 1) % 3
    probabilities = suspects.cross_validated(features, given)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    found, suggested = suspects.wrong_labels(probabilities, given)
    planted = found < 9
    assert planted.sum() >= 7
    assert (~planted).sum() <= 3
    assert (suggested[planted] == true[found[planted]]).all()


def test_a_small_class_reduces_the_number_of_folds():
    labels = np.array([0] * 10 + [1] * 2)
    features = np.random.default_rng(0).normal(size=(12, 2))
    assert suspects.cross_validated(features, labels).shape == (12, 2)


def test_near_duplicates_in_blocks(monkeypatch):
    others = np.random.default_rng(0).normal(size=(50, 8))
    images = np.concatenate([others[[7, 30]] + 0.001, -others[:3]])
    expected = suspects.near_duplicates(images, others, 0.95)
    assert {pair[:2] for pair in expected} == {(0, 7), (1, 30)}
    assert expected[0][2] >= expected[1][2] > 0.99
    monkeypatch.setattr(suspects, "BLOCK", 2)
    assert suspects.near_duplicates(images, others, 0.95) == expected
    assert suspects.near_duplicates(images[:0], others, 0.95) == []
