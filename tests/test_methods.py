"""Names and sums of methods, and changed hyper-parameters."""

import dataclasses

import pytest

from color_s4l.errors import InputError
from color_s4l.methods import METHODS, TERMS, copies_of, heads_of, term_names, terms_of
from color_s4l.terms.entropy import Entropy
from color_s4l.terms.proxies import COLOR_S4L, SESEMI, Proxies
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.vat import Vat


def test_published_methods():
    assert terms_of("supervised") == (Supervised(),)
    assert terms_of("sesemi") == (Supervised(), Proxies(tasks=SESEMI))
    assert terms_of("color_s4l") == (Supervised(), Proxies(tasks=COLOR_S4L))
    # omega = 1 (Chen 2020)
    assert Proxies().weight == Supervised().weight == 1


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("supervised+color_s4l", ["supervised", "proxies"]),
        ("color_s4l+color_s4l", ["supervised", "proxies"]),
        ("ict+mean_teacher", ["supervised", "ict", "mean_teacher"]),
        ("color_s4l+mixup", ["supervised", "proxies", "mixup"]),
        ("mixup", ["mixup"]),
        ("fixmatch_attention", ["supervised", "fixmatch", "attention"]),
        (
            "s4l_rotation+vat_entmin",
            [
                *("labeled_rotations", "proxies", "joint_pass"),
                *("supervised", "vat", "entropy"),
            ],
        ),
        # Names of terms that are no methods.
        ("entropy", ["entropy"]),
        ("vat+entropy+supervised", ["supervised", "vat", "entropy"]),
    ],
)
def test_a_sum_is_the_union_and_equal_terms_count_once(method, names):
    assert [TERMS.name_of(type(term)) for term in terms_of(method)] == names
    assert term_names(method) == set(names)


def test_a_term_in_a_sum_has_its_defaults_and_can_be_changed():
    assert terms_of("supervised+entropy") == (Supervised(), Entropy())
    changed = terms_of("supervised+entropy", ["entropy.weight=0.5"])
    assert changed == (Supervised(), Entropy(weight=0.5))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["proxies.weight=2"], Proxies(weight=2.0)),
        (["proxies.weight=1e-1"], Proxies(weight=0.1)),
        (["proxies.bn_stats=supervised"], Proxies(bn_stats="supervised")),
        (["proxies.tasks=identity,affine"], Proxies(tasks=("identity", "affine"))),
        # The last of several changes counts.
        (["proxies.weight=2", "proxies.weight=4"], Proxies(weight=4.0)),
    ],
)
def test_a_change_has_the_type_of_its_field(changes, expected):
    assert terms_of("color_s4l", changes) == (Supervised(), expected)


def test_equal_changes_of_a_term_that_occurs_twice_make_it_one():
    changes = ["vat.weight=0.4", "vat.images=weak"]
    (vat,) = [t for t in terms_of("moam+vat", changes) if type(t) is Vat]
    assert vat == Vat(weight=0.4)
    terms = terms_of("supervised+sesemi", ["supervised.weight=2"])
    assert terms == (Supervised(weight=2.0), Proxies(tasks=SESEMI))


@pytest.mark.parametrize(
    ("method", "published"),
    [("sesemi", "both"), ("fixmatch", "both"), ("pseudo_label", "supervised")],
)
def test_bn_stats_is_set_in_every_term_or_stays_as_published(method, published):
    assert terms_of(method)[1].bn_stats == published
    for bn_stats in ("both", "supervised"):
        supervised, term = terms_of(method, bn_stats=bn_stats)
        assert supervised == Supervised()
        assert term == dataclasses.replace(METHODS[method][1], bn_stats=bn_stats)


@pytest.mark.parametrize(
    ("method", "change", "text"),
    [
        ("color_s4", None, "no method 'color_s4'. Did you mean 'color_s4l'"),
        ("color_s4", None, "There are: supervised, .*, temporal_consistency"),
        ("color_s4l+", None, "no method ''"),
        ("color_s4l", "proxie.weight=2", "no term 'proxie'. Did you mean 'proxies'"),
        ("vat", "proxies.weight=2", "`set`=proxies.weight=2: the method has no term"),
        ("color_s4l", "proxies.wieght=2", "'proxies' has no .* 'wieght'. .*'weight'"),
        ("color_s4l", "proxies.weight=a", "'weight' of the term 'proxies' .* float"),
        ("color_s4l", "proxies.weight", "Expected `set`=TERM.FIELD=VALUE. Received"),
        ("color_s4l", "weight=2", "Expected `set`=TERM.FIELD=VALUE. Received"),
        ("color_s4l", "proxies.bn_stats=a", "`bn_stats` to be both or supervised"),
        ("color_s4l", "proxies.weight=nan", "`weight` to be 0 or more. Received: nan"),
        ("sesemi", "proxies.weight=-1", "`set`=proxies.weight=-1: Expected `weight`"),
        ("sesemi", "proxies.tasks=rotated", "no proxy task 'rotated'. .*'rotated_"),
        ("sesemi", "proxies.tasks=", "no proxy task ''.* There are: .*identity"),
        (
            "s4l_rotation",
            "proxies.tasks=identity,rotated_90",
            "two different heads 'proxy': with 4 and with 2 outputs",
        ),
        (
            "sesemi+color_s4l",
            None,
            "'proxies' twice, with tasks=identity,.* and identity,.*,colorized: ",
        ),
        (
            "moam+vat",
            None,
            "`method`=moam.vat has the term 'vat' twice, with images=.* and weak; "
            "weight=0.3 and 1.0: set both to one value with `set`=vat.FIELD=VALUE, or "
            "remove one method",
        ),
        ("s4l_rotation+rotnet", None, "'proxies' twice, with weight=0.5 and 1.0: set"),
    ],
)
def test_errors(method, change, text):
    with pytest.raises(InputError, match=text) as raised:
        terms_of(method, [change] if change else [])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("method", "unlabeled", "labeled"),
    [
        ("supervised", 0, 1),
        ("sesemi", 6, 1),
        ("color_s4l", 7, 1),
        # Seven proxy views, two weak ones of which FixMatch reads one, a strong one.
        ("color_s4l+pi_model+fixmatch", 7 + 2 + 1, 1),
        ("s4l_exemplar", 8, 8),
        ("s4l_rotation", 4, 4),
    ],
)
def test_views_that_several_terms_read_are_counted_once(method, unlabeled, labeled):
    terms = terms_of(method)
    assert copies_of(terms, "unlabeled") == unlabeled
    assert copies_of(terms, "labeled") == labeled


def test_heads():
    assert heads_of(terms_of("color_s4l"), 100) == {"class": 100, "proxy": 7}
    assert heads_of(terms_of("color_s4l_affine"), 10)["proxy"] == 9
    heads = heads_of(terms_of("fixmatch_attention"), 10)
    assert heads["class"] == 10
    assert callable(heads["attention"])
