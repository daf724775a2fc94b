"""Names and sums of methods, changed hyper-parameters, and every refusal."""

import pytest

from color_s4l.errors import InputError
from color_s4l.methods import METHODS, copies_of, heads_of, terms_of
from color_s4l.terms import Proxies, Supervised, Vat
from color_s4l.terms.proxies import COLOR_S4L, SESEMI


def test_published_methods():
    assert terms_of("supervised") == (Supervised(),)
    assert terms_of("sesemi") == (Supervised(), Proxies(tasks=SESEMI))
    assert terms_of("color_s4l") == (Supervised(), Proxies(tasks=COLOR_S4L))
    # omega = 1 (Chen 2020)
    assert Proxies().weight == Supervised().weight == 1


def test_a_sum_is_the_union_and_equal_terms_count_once():
    assert terms_of("supervised+color_s4l") == METHODS["color_s4l"]
    assert terms_of("color_s4l+color_s4l") == METHODS["color_s4l"]


def test_a_sum_whose_terms_were_made_equal_counts_them_once():
    (vat,) = [t for t in terms_of("moam+vat", ["vat.weight=0.4"]) if isinstance(t, Vat)]
    assert vat == Vat(weight=0.4)


def test_an_interpolating_teacher_is_another_term_than_the_plain_one():
    kinds = [type(term).__name__ for term in terms_of("ict+mean_teacher")]
    assert kinds == ["Supervised", "InterpolationConsistency", "MeanTeacher"]


def test_a_changed_term_still_counts_once():
    terms = terms_of("supervised+sesemi", ["supervised.weight=2"])
    assert terms == (Supervised(weight=2.0), Proxies(tasks=SESEMI))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("proxies.weight=2", Proxies(weight=2.0)),
        ("proxies.weight=1e-1", Proxies(weight=0.1)),
        ("proxies.bn_stats=supervised", Proxies(bn_stats="supervised")),
        (
            "proxies.tasks=identity,colorized",
            Proxies(tasks=("identity", "colorized")),
        ),
    ],
)
def test_set_takes_the_fields_type(change, expected):
    assert terms_of("color_s4l", [change])[1] == expected
    assert terms_of("color_s4l", [change])[0] == Supervised()


def test_the_last_of_several_settings_holds():
    changes = ["proxies.weight=2", "supervised.weight=3", "proxies.weight=4"]
    assert terms_of("sesemi", changes) == (
        Supervised(weight=3.0),
        Proxies(tasks=SESEMI, weight=4.0),
    )


def test_bn_stats_goes_to_every_term_that_knows_it():
    terms = terms_of("color_s4l", bn_stats="supervised")
    assert terms == (Supervised(), Proxies(bn_stats="supervised"))


@pytest.mark.parametrize(
    ("method", "published"),
    [("sesemi", "both"), ("fixmatch", "both"), ("pseudo_label", "supervised")],
)
def test_without_bn_stats_each_term_keeps_what_it_was_published_with(method, published):
    assert terms_of(method)[1].bn_stats == published
    assert terms_of(method, bn_stats="both")[1].bn_stats == "both"


@pytest.mark.parametrize(
    ("method", "changes", "text"),
    [
        ("color_s4", [], "no method 'color_s4'. Did you mean 'color_s4l'"),
        ("color_s4", [], "There are: supervised, sesemi, color_s4l"),
        ("color_s4l+", [], "no method ''"),
        ("color_s4l", ["proxie.weight=2"], "no term 'proxie'. .*mean 'proxies'"),
        ("supervised", ["proxies.weight=2"], "the method has no term 'proxies'"),
        (
            "color_s4l",
            ["proxies.wieght=2"],
            "no hyper-parameter 'wieght'. Did you mean 'weight'. It has: tasks, weight",
        ),
        (
            "color_s4l",
            ["proxies.weight=much"],
            '--set=proxies.weight: expected float. Received: "much"',
        ),
        ("color_s4l", ["proxies.weight"], "Expected --set=TERM.FIELD=VALUE. Received"),
        ("color_s4l", ["weight=2"], "Expected --set=TERM.FIELD=VALUE. Received"),
        (
            "s4l_rotation",
            ["proxies.tasks=identity,rotated_90"],
            "want 'proxy' heads of 4 and of 2 classes",
        ),
        (
            "sesemi+color_s4l",
            [],
            "'proxies' twice, with tasks=identity,.* and identity,.*,colorized: ",
        ),
        (
            "moam+vat",
            [],
            "--method=moam.vat has the term 'vat' twice, with weight=0.3 and 1.0: make "
            "them equal by --set=vat.FIELD=VALUE, or leave one method out",
        ),
        ("s4l_rotation+rotnet", [], "'proxies' twice, with weight=0.5 and 1.0: make"),
    ],
)
def test_refuses(method, changes, text):
    with pytest.raises(InputError, match=text) as raised:
        terms_of(method, changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            "proxies.bn_stats=neither",
            "Expected bn_stats to be both or supervised. Received: 'neither'",
        ),
        ("proxies.tasks=identity,rotated", "no task 'rotated'. Did you mean 'rotated_"),
        ("proxies.tasks=", "no task ''.* There are: identity, rotated_90"),
        (
            "proxies.weight=-1",
            "--set=proxies.weight=-1: Expected weight to be 0 or more",
        ),
        ("proxies.weight=nan", "Expected weight to be 0 or more. Received: nan"),
    ],
)
def test_refuses_values_that_no_term_can_have(change, text):
    with pytest.raises(InputError, match=text):
        terms_of("color_s4l", [change])


def test_heads_and_views():
    terms = terms_of("color_s4l")
    assert heads_of(terms, 100) == {"class": 100, "proxy": 7}
    assert copies_of(terms, "unlabeled") == 7
    assert copies_of(terms, "labeled") == 1
    assert copies_of(terms_of("sesemi"), "unlabeled") == 6
    assert copies_of(terms_of("supervised"), "unlabeled") == 0


def test_views_that_several_terms_of_a_sum_read_are_made_once():
    terms = terms_of("color_s4l+pi_model+fixmatch")
    # Seven proxy views, two weak ones of which FixMatch reads one, and the strong one.
    assert copies_of(terms, "unlabeled") == 7 + 2 + 1
    assert copies_of(terms, "labeled") == 1
    assert copies_of(terms_of("s4l_exemplar"), "labeled") == 8
    assert copies_of(terms_of("s4l_rotation"), "labeled") == 4


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("sesemi+fixmatch", ["Supervised", "Proxies", "FixMatch"]),
        ("color_s4l+mixup", ["Supervised", "Proxies", "Mixup"]),
        ("mixup", ["Mixup"]),
        ("fixmatch_attention", ["Supervised", "FixMatch", "AttentionDistance"]),
        ("s4l_rotation", ["LabeledRotations", "Proxies"]),
        (
            "s4l_rotation+vat_entmin",
            ["LabeledRotations", "Proxies", "Supervised", "Vat", "Entropy"],
        ),
    ],
)
def test_a_class_loss_of_its_own_stands_beside_the_plain_one_in_a_sum(method, names):
    assert [type(term).__name__ for term in terms_of(method)] == names


def test_affine_and_translation_join_by_name():
    tasks = "identity,rotated_90,affine,translated"
    terms = terms_of("sesemi", [f"proxies.tasks={tasks}"])
    assert heads_of(terms, 10)["proxy"] == 4
    assert heads_of(terms_of("color_s4l_affine"), 10)["proxy"] == 9
