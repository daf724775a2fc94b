"""A method is a sum of terms: names, sums of names, and changed hyper-parameters."""

import dataclasses
import itertools
from collections.abc import Sequence

from color_s4l.errors import InputError, unknown
from color_s4l.terms import (
    TERMS,
    AttentionDistance,
    Entropy,
    Exemplar,
    FixMatch,
    InterpolationConsistency,
    LabeledRotations,
    ManifoldMixup,
    MeanTeacher,
    MixMatch,
    Mixup,
    PiModel,
    Polyak,
    Proxies,
    PseudoLabel,
    PseudoLabelEpochs,
    Relabeled,
    Supervised,
    TemporalConsistency,
    TemporalEnsembling,
    Term,
    Vat,
)
from color_s4l.terms.labeled_rotations import ROTATIONS
from color_s4l.terms.parts.fields import with_value
from color_s4l.terms.proxies import COLOR_S4L, SESEMI
from color_s4l.views.step import VIEWS
from color_s4l.views.warped import WARPED

METHODS: dict[str, tuple[Term, ...]] = {
    "supervised": (Supervised(),),
    "sesemi": (Supervised(), Proxies(tasks=SESEMI)),
    "color_s4l": (Supervised(), Proxies(tasks=COLOR_S4L)),
    "pi_model": (Supervised(), PiModel()),
    "temporal_ensembling": (Supervised(), TemporalEnsembling()),
    "mean_teacher": (Supervised(), MeanTeacher()),
    "vat": (Supervised(), Vat()),
    "vat_entmin": (Supervised(), Vat(), Entropy()),
    "rotnet": (Proxies(tasks=ROTATIONS),),
    "proxies": (Proxies(tasks=COLOR_S4L),),
    "relabeled": (Relabeled(),),
    "relabeled_temporal": (Relabeled(weight=0.5), TemporalConsistency(weight=0.5)),
    "polyak": (Supervised(), Polyak()),
    "color_s4l_affine": (Supervised(), Proxies(tasks=(*COLOR_S4L, *WARPED))),
    "mixup": (Mixup(),),
    "manifold_mixup": (ManifoldMixup(),),
    "ict": (Supervised(), InterpolationConsistency()),
    "pseudo_label": (Supervised(), PseudoLabel()),
    "pseudo_label_epochs": (Supervised(), PseudoLabelEpochs()),
    "mixmatch": (MixMatch(),),
    "fixmatch": (Supervised(), FixMatch()),
    "fixmatch_attention": (Supervised(), FixMatch(), AttentionDistance()),
    "s4l_rotation": (LabeledRotations(), Proxies(tasks=ROTATIONS, weight=0.5)),
    "s4l_exemplar": (Exemplar(),),
    "exemplar": (Exemplar(class_weight=0.0),),
    "moam": (
        LabeledRotations(weight=0.3, proxy_weight=0.2),
        Proxies(tasks=ROTATIONS, weight=0.2),
        Vat(weight=0.3),
        Entropy(weight=0.3),
        Polyak(half_life=0.1),  # of a pass over all images: one over the labelled 10 %
    ),
    "moam_relabeled": (
        Relabeled(weight=0.3),
        Proxies(tasks=ROTATIONS, weight=0.4),
        Vat(weight=0.3),
        Entropy(weight=0.3),
        Polyak(half_life=0.1),
    ),
}


def terms_of(
    method: str, changes: Sequence[str] = (), *, bn_stats: str | None = None
) -> tuple[Term, ...]:
    """The terms of a method or of a sum of methods.

    Args:
        method: "color_s4l", or a sum "color_s4l+mean_teacher"; a term that stands
            in several methods counts once.
        changes: "proxies.weight=2": TERM.FIELD=VALUE, VALUE of the field's type.
            It goes to every term of that name.
        bn_stats: Given to every term that has a field of this name; None: each keeps
            its default, what it was published with or, as the term says, near to it.

    Returns:
        Frozen terms, in the order of the sum.

    Raises:
        InputError: A method, term or field does not exist, a value is not of its
            field's type or range, one term stands there twice with different
            fields, or two terms want heads of one name and other sizes.
    """
    terms = [_with_bn_stats(term, bn_stats) for term in _summands(method)]
    for change in changes:
        terms = _changed(terms, change)
    unique = tuple(dict.fromkeys(terms))
    _check_once(method, unique)
    heads_of(unique, num_classes=2)
    return unique


def term_names(method: str) -> set[str]:
    """The names, as `--set` has them, of the terms of a method or of a sum.

    Raises:
        InputError: A method does not exist.
    """
    kinds = {type(term) for term in _summands(method)}
    return {name for name, kind in TERMS.items() if kind in kinds}


def _summands(method: str) -> list[Term]:
    """Every method's terms, one after the other; a term may stand there twice."""
    terms: list[Term] = []
    for name in method.split("+"):
        if name not in METHODS:
            raise unknown("method", name, METHODS)
        terms += METHODS[name]
    return terms


def heads_of(terms: Sequence[Term], num_classes: int) -> dict[str, int]:
    """The heads that all terms together need.

    Args:
        terms: Of `terms_of`.
        num_classes: Of the data set.

    Returns:
        Name of each head -> its number of classes: `{"class": 10, "proxy": 7}`.

    Raises:
        InputError: Two terms want heads of one name and other sizes.
    """
    heads: dict[str, int] = {}
    for term in terms:
        for name, size in term.heads(num_classes).items():
            if heads.setdefault(name, size) != size:
                raise InputError(
                    f"Methods of this sum want {name!r} heads of {heads[name]} and of "
                    f"{size} classes; they can't share one."
                )
    return heads


def views_of(terms: Sequence[Term]) -> frozenset[str]:
    """Names of all views that the terms read."""
    return frozenset(view for term in terms for view in term.views())


def copies_of(terms: Sequence[Term], source: str) -> int:
    """Images that all views together make of one image of a source.

    Args:
        terms: Of `terms_of`.
        source: "labeled" or "unlabeled".

    Returns:
        At least 0.
    """
    views = (VIEWS[name] for name in views_of(terms))
    return sum(view.copies for view in views if view.source == source)


def _check_once(method: str, terms: Sequence[Term]) -> None:
    """Refuses a sum whose methods have one term with different fields."""
    for first, second in itertools.combinations(terms, 2):
        if type(first) is type(second):
            raise _differing(method, first, second)


def _differing(method: str, first: Term, second: Term) -> InputError:
    name = next(name for name, kind in TERMS.items() if kind is type(first))
    both = [
        (field.name, getattr(first, field.name), getattr(second, field.name))
        for field in dataclasses.fields(first)
    ]
    fields = [
        f"{field}={_text(one)} and {_text(other)}"
        for field, one, other in both
        if one != other
    ]
    return InputError(
        f"--method={method} has the term {name!r} twice, with {'; '.join(fields)}: "
        f"make them equal by --set={name}.FIELD=VALUE, or leave one method out."
    )


def _text(value: object) -> str:
    """A value as `--set` takes it."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _with_bn_stats(term: Term, bn_stats: str | None) -> Term:
    has_field = any(field.name == "bn_stats" for field in dataclasses.fields(term))
    if bn_stats is None or not has_field:
        return term
    return dataclasses.replace(term, bn_stats=bn_stats)


def _changed(terms: Sequence[Term], change: str) -> list[Term]:
    """Terms with one field of one term replaced."""
    path, equals, text = change.partition("=")
    name, dot, field = path.partition(".")
    if not (equals and dot):
        raise InputError(f"Expected --set=TERM.FIELD=VALUE. Received: {change!r}.")
    if name not in TERMS:
        raise unknown("term", name, TERMS)
    if not any(type(term) is TERMS[name] for term in terms):
        raise InputError(f"--set={change}: the method has no term {name!r}.")
    return [
        with_value(t, "Term", name, field, text) if type(t) is TERMS[name] else t
        for t in terms
    ]
