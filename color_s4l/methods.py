"""A method is a sum of terms: names, sums of names, and changed hyper-parameters."""

import dataclasses
import json
import typing
from collections.abc import Sequence

from color_s4l.errors import InputError, suggestion, unknown
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
        bn_stats: Given to every term that has a field of this name; None: each keeps
            what it was published with.

    Returns:
        Frozen terms, in the order of the sum.

    Raises:
        InputError: A method, term or field does not exist, a value is not of
            its field's type, or two terms want heads of one name and other sizes.
    """
    terms: list[Term] = []
    for name in method.split("+"):
        if name not in METHODS:
            raise unknown("method", name, METHODS)
        terms += [_with_bn_stats(t, bn_stats) for t in METHODS[name]]
    for change in changes:
        terms = _changed(terms, change)
    unique = tuple(dict.fromkeys(terms))
    heads_of(unique, num_classes=2)
    return unique


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


def with_value(
    record: typing.Any, kind: str, name: str, field: str, text: str
) -> typing.Any:
    """A record of hyper-parameters with one of them changed.

    Args:
        record: A frozen dataclass.
        kind: What it is, for errors: "Term".
        name: Its name there.
        field: Of the record.
        text: The value, as text.

    Returns:
        The changed record.

    Raises:
        InputError: There is no such field, or the text is no value of its type.
    """
    value = _value(record, kind, name, field, text)
    return dataclasses.replace(record, **{field: value})


def _value(record, kind: str, name: str, field: str, text: str) -> typing.Any:
    """`text` as the field's type."""
    types = typing.get_type_hints(type(record))
    if field not in types:
        raise InputError(
            f"{kind} {name!r} has no hyper-parameter {field!r}."
            f"{suggestion(field, types)} It has: {', '.join(types)}."
        )
    if field == "bn_stats" and text not in ("both", "supervised"):
        raise InputError(
            f"--set={name}: expected bn_stats to be both or supervised. "
            f"Received: {text!r}."
        )
    wanted = types[field]
    try:
        if typing.get_origin(wanted) is tuple:
            return tuple(text.split(","))
        if wanted is bool:
            return {"true": True, "false": False}[text.lower()]
        return wanted(text)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"--set={name}.{field}: expected {wanted.__name__}. "
            f"Received: {json.dumps(text)}."
        ) from error
