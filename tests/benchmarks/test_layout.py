"""Which numbers stand together, which one is bold, and the texts made of them."""

import pandas as pd
import pytest

from benchmarks import layout, plots, texts
from color_s4l.errors import InputError

SMALL = {"labels": 1000, "epochs": 4}


@pytest.fixture(scope="module")
def found(table):
    """Two methods at reduced settings, one run of one at another epoch count."""
    return layout.annotated(
        table(
            (50.0, {"method": "supervised", "seed": 1, **SMALL}),
            (54.0, {"method": "supervised", "seed": 2, **SMALL}),
            (40.0, {"method": "sesemi", "seed": 1, **SMALL}),
            (43.0, {"method": "sesemi", "seed": 2, **SMALL}),
            (60.0, {"method": "sesemi", "labels": 2000, "epochs": 4, "seed": 1}),
            (30.0, {"method": "sesemi", "labels": 1000, "epochs": 30, "seed": 1}),
        )
    )


def test_mean_and_sample_deviation(found):
    # 50, 54: mean 52, deviation sqrt((4 + 4) / 1) = 2.83.
    first = found.iloc[0]
    assert (first["error"], round(first["error_std"], 2), first["n"]) == (52, 2.83, 2)
    assert pd.isna(found.iloc[2]["error_std"])


def test_the_best_is_sought_among_equal_settings_only(found):
    # 41.5 beats 52; 60 is alone with its labels, 30 alone with its epochs.
    assert layout.best(found, "error").tolist() == [False, True, False, False]


def test_numbers_of_another_backend_or_precision_are_not_compared(table):
    both = table(
        (50.0, {"method": "supervised", "seed": 1, **SMALL}),
        (40.0, {"method": "sesemi", "seed": 1, "backend": "jax", **SMALL}),
    )
    assert not layout.best(layout.annotated(both), "error").any()


def test_a_number_beside_rows_without_one_is_no_best_one(table):
    both = table(
        (50.0, {"method": "supervised", **SMALL}),
        (40.0, {"method": "mean_teacher", **SMALL}),
    ).assign(averaged_error=[None, 30.0])
    found = layout.annotated(both)
    assert not layout.best(found, "averaged_error").any()
    assert layout.best(found, "error").tolist() == [False, True]


def test_rows_are_methods_columns_are_labels_and_published_rows_follow(found):
    text, bold = layout.block(found, "error")
    assert [*text][-2:] == ["1,000 labels", "2,000 labels"]
    assert text["source"].tolist() == [
        *("ours", "Chen 2020, table 1"),
        *("ours", "ours", "ours"),
        *("Chen 2020, table 1", "Tran 2019, version 2, SESEMI SSL"),
        *("Chen 2020 (report), table 1", "Chen 2020 (report), table 1"),
    ]
    ours = text[text["source"] == "ours"].reset_index(drop=True)
    assert ours["1,000 labels"][0] == "52.00 ± 2.83 (2)"
    chen = text[(text["source"] == "Chen 2020, table 1") & (text["method"] == "SESEMI")]
    assert chen["1,000 labels"].tolist() == ["18.45 ± 0.26 (4)"]
    assert chen["2,000 labels"].tolist() == ["15.84 ± 0.40 (4)"]
    marked = text.where(bold).stack().dropna().tolist()
    assert marked == ["41.50 ± 2.12 (2)"]


def test_a_recipes_row_has_its_name_and_its_published_numbers(table):
    runs = table(
        (60.0, {"recipe": "refine", "labels": 100, "network": "resnet18"}),
        (50.0, {"method": "color_s4l", "labels": 100, "network": "resnet18"}),
    )
    text, _ = layout.block(layout.annotated(runs), "error")
    ours = text["source"] == "ours"
    assert text[ours]["method"].tolist() == ["recipe refine", "color_s4l"]
    beside = text["source"].str.startswith("Rebuffi")
    assert beside.any()
    # Published rows follow the measured one of their method.
    assert beside[beside].index.max() < text[ours].index[1]


def test_a_method_a_recipe_of_its_name_and_its_stages_are_rows_of_their_own(table):
    cell = {"dataset": "imagenet2012", "labels": 128_000, "network": "resnet_v2_50"}
    runs = table(
        (50.0, {"method": "moam", **cell}),
        *((40.0 + seed, {"recipe": "moam", "seed": seed, **cell}) for seed in (1, 3)),
    )
    first = runs.iloc[1:].assign(stage="mixed", method="moam", error=float("nan"))
    text, _ = layout.block(layout.annotated(pd.concat([runs, first])), "error")
    ours = text[text["source"] == "ours"]
    assert ours["method"].tolist() == ["moam", "recipe moam", "recipe moam, mixed"]
    # A stage that learned no classes has no error rate.
    numbers = ["50.00 (1)", "42.00 ± 1.41 (2)", "–"]
    assert ours["128,000 labels"].tolist() == numbers
    # Each published number once, though three rows are what the paper calls MOAM.
    beside = text[text["source"] != "ours"]["method"].tolist()
    assert beside == ["MOAM full", "MOAM + pseudo label", "MOAM"]


def test_markdown_holds_the_bold_number_and_the_origin(found):
    text = texts.markdown(found, "error", "python -m x --flag")
    assert text.count("**41.50 ± 2.12 (2)**") == text.count("**") / 2 == 1
    for line in (
        "* command: python -m x --flag",
        "* hardware: 2 cores",
        "* seeds: 1,2; 1",
    ):
        assert line in text
    assert "after the last epoch" in text


def test_stages_are_not_counted_as_runs(table):
    runs = table(*((40.0, {"recipe": "moam", "seed": seed}) for seed in (1, 2)))
    stages = [runs.assign(stage=name) for name in ("mixed", "relabeled", "finetuned")]
    for parts in ([runs], [runs, *stages]):
        said = texts.origins(layout.annotated(pd.concat(parts)), "python -m x")
        assert said["runs"] == "n = 2 of each setting, 2 in total"


def test_latex_escapes_what_latex_reads(found):
    text = texts.latex(found, "best_error", "python -m x --flag")
    assert r"\textbf{39.50 $\pm$ 2.12 (2)}" in text
    assert r"selected on test" in text
    assert text.count(r"\begin{tabular}") == 1
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not any("%" in line.replace(r"\%", "") for line in body)
    assert "% command: python -m x --flag" in text


def test_the_plot_has_a_line_for_each_method_and_settings(found):
    (axis,) = plots.errors_by_labels(found, "error").axes
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert len(names) == 4
    assert names[0].startswith("supervised")
    assert names[0].endswith("(n = 2)")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1,000", "2,000"]


def test_what_learned_no_classes_is_not_drawn(table):
    runs = table((50.0, {"recipe": "rotnet_linear"}), (40.0, {"method": "sesemi"}))
    first = runs.iloc[:1].assign(stage="pretraining", error=None)

    def names(*tables):
        found = layout.annotated(pd.concat(tables))
        (axis,) = plots.errors_by_labels(found, "error").axes
        texts = axis.get_legend().get_texts() if axis.get_legend() else ()
        return [text.get_text() for text in texts]

    assert names(runs, first) == ["recipe rotnet_linear (n = 1)", "sesemi (n = 1)"]
    assert names(first) == []


def test_a_file_without_a_column_of_colorizers_is_annotated_all_the_same(table):
    rows = table((50.0, {"method": "supervised", **SMALL}))
    without = layout.annotated(rows.drop(columns="colorizer"))
    assert without["settings"].tolist() == layout.annotated(rows)["settings"].tolist()


def test_a_row_whose_command_is_no_runs_is_refused(table):
    rows = table((50.0, SMALL)).assign(command="rm -r everything")
    with pytest.raises(InputError, match=r"Expected a command of color_s4l.train"):
        layout.annotated(rows)
