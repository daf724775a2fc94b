"""Suggested against random labels, with few images and one epoch."""

import pandas as pd

from benchmarks import labeling


def test_writes_a_table_of_both_arms(tmp_path, monkeypatch, small):
    monkeypatch.setattr(labeling, "read_images", lambda flags: small)
    output = tmp_path / "labeling.csv"
    words = ["--rounds=1", "--seeds=1", "--epochs=1", "--width=0.03", "--added=4"]
    assert labeling.main([*words, f"--output={output}"]) == 0
    table = pd.read_csv(output)
    assert table["arm"].tolist() == ["suggested"] * 2 + ["random"] * 2
    assert table["labels"].tolist() == [16, 20, 16, 20]
    # The first labels and the seed of the training are the same.
    assert table["error"][0] == table["error"][2]
    assert table["error"].between(0, 100).all()
