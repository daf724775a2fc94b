"""Fusion with Inception-ResNet-v2: embedded once, cached, and saved whole.

The one test that builds Inception, since building takes seconds.
"""

import dataclasses

import numpy as np
import pytest

from colorization import embeddings, saving, training
from colorization.colorizer import Colorizer
from colorization.networks import Shape


def test_fusion_from_training_to_file(settings, tmp_path, monkeypatch, crops):
    computed = []
    compute = embeddings.compute

    def counted(embedder, images, verbosity):
        computed.append(len(images))
        return compute(embedder, images, verbosity)

    monkeypatch.setattr(embeddings, "compute", counted)
    shape = Shape(width=0.0625, embedding_weights="none", embedding_size=75)
    fusion = dataclasses.replace(
        settings, network="inception_fusion", shape=shape, epochs=2
    )
    images = crops(6, 20)  # 20 is not divisible by 8
    parts = training.build(fusion)
    before = [np.asarray(w) for w in parts.embedder.get_weights()]
    model = training.train(images, images[:2], fusion, parts=parts)
    assert computed == [6, 2]  # once each, not once per epoch
    embeddings.cached(parts.embedder, training.pad(images))
    assert computed == [6, 2]  # read from the cache
    for old, new in zip(before, parts.embedder.get_weights(), strict=True):
        assert np.array_equal(old, new)  # frozen
    path = tmp_path / "fusion.h5"
    origin = training.origin(fusion, "photographs", images)
    saving.save(model, path, origin)
    again = saving.load(path)
    assert again.origin.embedding_size == 75
    expected = Colorizer(model, origin).predict(images)
    assert again.predict(images) == pytest.approx(expected, abs=1e-5)
