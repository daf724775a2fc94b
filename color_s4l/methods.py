"""Methods: named sums of terms, and their hyper-parameters.

A method can have a solver instead of terms (`color_s4l.probes`).
"""

import dataclasses
import itertools
from collections.abc import Sequence

from color_s4l.errors import InputError, unknown
from color_s4l.fields import with_text
from color_s4l.networks.network import Gate, Readout
from color_s4l.probes import Solver, logistic_regression, nearest_neighbours
from color_s4l.registry import METHODS, TERMS, register_method
from color_s4l.terms.adaptive import AdaMatch, AlignedFixMatch, FreeMatch, SoftMatch
from color_s4l.terms.attention import AttentionDistance
from color_s4l.terms.balanced_classifier import BalancedClassifier
from color_s4l.terms.colorization import Colorization
from color_s4l.terms.entropy import Entropy
from color_s4l.terms.exemplar import Exemplar
from color_s4l.terms.fixmatch import FixMatch
from color_s4l.terms.ict import InterpolationConsistency
from color_s4l.terms.joint_pass import JointPass
from color_s4l.terms.labeled_rotations import LabeledRotations
from color_s4l.terms.manifold_mixup import ManifoldMixup
from color_s4l.terms.mean_teacher import MeanTeacher
from color_s4l.terms.memory_assisted import MemoryAssisted
from color_s4l.terms.mixmatch import MixMatch
from color_s4l.terms.mixup import Mixup
from color_s4l.terms.pi_model import PiModel
from color_s4l.terms.polyak import Polyak
from color_s4l.terms.proxies import COLOR_S4L, ROTATIONS, SESEMI, Proxies
from color_s4l.terms.pseudo_label import PseudoLabel
from color_s4l.terms.pseudo_label_epochs import PseudoLabelEpochs
from color_s4l.terms.relabeled import Relabeled
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.temporal_consistency import TemporalConsistency
from color_s4l.terms.temporal_ensembling import TemporalEnsembling
from color_s4l.terms.term import Term
from color_s4l.terms.vat import Vat
from color_s4l.views.step import UNLABELED, view

# Half-life in passes over all images. The published half-life is one pass over the
# labelled images, which are 10 % of all images.
MOAM_HALF_LIFE = 0.1

register_method("supervised", (Supervised(),))
register_method("sesemi", (Supervised(), Proxies(tasks=SESEMI)))
register_method("color_s4l", (Supervised(), Proxies(tasks=COLOR_S4L)))
register_method(
    "color_s4l_affine",
    (Supervised(), Proxies(tasks=(*COLOR_S4L, "affine", "translated"))),
)
register_method("pi_model", (Supervised(), PiModel()))
register_method("temporal_ensembling", (Supervised(), TemporalEnsembling()))
register_method("mean_teacher", (Supervised(), MeanTeacher()))
register_method("ma_dnn", (Supervised(), MemoryAssisted(), JointPass()))
register_method("vat", (Supervised(), Vat()))
register_method("vat_entmin", (Supervised(), Vat(), Entropy()))
register_method("polyak", (Supervised(), Polyak()))
register_method("mixup", (Mixup(),))
register_method("manifold_mixup", (ManifoldMixup(),))
register_method("ict", (Supervised(), InterpolationConsistency()))
register_method("mixmatch", (MixMatch(),))
register_method("pseudo_label", (Supervised(), PseudoLabel()))
register_method("pseudo_label_epochs", (Supervised(), PseudoLabelEpochs()))
register_method("fixmatch", (Supervised(), FixMatch()))
register_method("freematch", (Supervised(), FreeMatch()))
register_method("softmatch", (Supervised(), SoftMatch()))
register_method("adamatch", (Supervised(), AdaMatch()))
register_method("fixmatch_aligned", (Supervised(), AlignedFixMatch()))
register_method("fixmatch_abc", (Supervised(), FixMatch(), BalancedClassifier()))
register_method("fixmatch_attention", (Supervised(), FixMatch(), AttentionDistance()))
register_method(
    "s4l_rotation",
    (LabeledRotations(), Proxies(tasks=ROTATIONS, weight=0.5), JointPass()),
)
register_method("s4l_exemplar", (Exemplar(), JointPass()))
_S4L_VAT = Vat(weight=0.5, images=("labeled", "weak"))
_S4L_ENTROPY = Entropy(images=("labeled", "weak"))
register_method("s4l_vat", (Supervised(), _S4L_VAT, JointPass()))
register_method("s4l_vat_entmin", (Supervised(), _S4L_VAT, _S4L_ENTROPY, JointPass()))
# For runs of a few thousand steps; used by the preset "fast".
register_method("fast", (Supervised(), FreeMatch(decay=0.99), Polyak(half_life=0.3)))
# Frozen features: no terms and no training steps.
register_method("probe", (), solver=logistic_regression)
register_method("knn", (), solver=nearest_neighbours)
# Stages of recipes.
register_method("proxies", (Proxies(tasks=COLOR_S4L),))
register_method("colorization", (Colorization(),))
register_method("rotnet", (Proxies(tasks=ROTATIONS),))
register_method("exemplar", (Exemplar(class_weight=0.0),))
register_method("relabeled", (Relabeled(),))
register_method(
    "relabeled_temporal", (Relabeled(weight=0.5), TemporalConsistency(weight=0.5))
)
_MOAM_IMAGES = (*LabeledRotations.reads, *ROTATIONS)
register_method(
    "moam",
    (
        LabeledRotations(weight=0.3, proxy_weight=0.2),
        Proxies(tasks=ROTATIONS, weight=0.2),
        Vat(weight=0.3, images=_MOAM_IMAGES),
        Entropy(weight=0.3, images=_MOAM_IMAGES),
        Polyak(half_life=MOAM_HALF_LIFE),
        JointPass(),
    ),
)
register_method(
    "moam_relabeled",
    (
        Relabeled(weight=0.3, images=ROTATIONS),
        Proxies(tasks=ROTATIONS, weight=0.4),
        Vat(weight=0.3, images=ROTATIONS),
        Entropy(weight=0.3, images=ROTATIONS),
        Polyak(half_life=MOAM_HALF_LIFE),
        JointPass(),
    ),
)


def terms_of(
    method: str, changes: Sequence[str] = (), *, bn_stats: str | None = None
) -> tuple[Term, ...]:
    """Returns the terms of a method or of a sum of methods.

    Args:
        method: "color_s4l", or a sum "color_s4l+mean_teacher". A summand is the name of
            a method, or of a term with its default values; if both exist, the method is
            used. A term that occurs in several methods is used once.
        changes: Hyper-parameters as TERM.FIELD=VALUE: "proxies.weight=2".
        bn_stats: Value of the field `bn_stats` of all terms that have it; None: the
            values of the method.

    Returns:
        The terms in the order of the sum.

    Raises:
        InputError: A method, term or field does not exist; a value is of the wrong
            type or outside its range; a term occurs twice with different fields; two
            terms need different heads of the same name; or a method with a solver is a
            part of a sum.
    """
    solver_of(method)  # raises an error for a sum that contains a solver
    terms = [_with_bn_stats(term, bn_stats) for term in _summands(method)]
    for change in changes:
        terms = _changed(terms, change)
    unique = tuple(dict.fromkeys(terms))
    for first, second in itertools.combinations(unique, 2):
        if type(first) is type(second):
            raise _differing(method, first, second)
    heads_of(unique, num_classes=2)
    return unique


def solver_of(method: str) -> Solver | None:
    """Returns the solver of a method; None for a sum of terms.

    Raises:
        InputError: A method with a solver is a part of a sum.
    """
    names = method.split("+")
    solved = [n for n in names if n in METHODS and "solver" in METHODS.options(n)]
    if not solved:
        return None
    if len(names) > 1:
        raise InputError(
            f"`method`={method}: {solved[0]} cannot be a part of a sum, because it has "
            "no loss."
        )
    return METHODS.options(method)["solver"]


def term_names(method: str) -> set[str]:
    """Returns the names of the terms of a method or of a sum of methods.

    Raises:
        InputError: A method does not exist.
    """
    return {TERMS.name_of(type(term)) for term in _summands(method)}


def changes_of(term: Term) -> list[str]:
    """Returns the fields of a term that differ from its defaults, as TERM.FIELD=VALUE.

    `terms_of` with the name of the term and these changes returns the same term.
    """
    name = TERMS.name_of(type(term))
    return [
        f"{name}.{field.name}={_text(getattr(term, field.name))}"
        for field in dataclasses.fields(term)
        if getattr(term, field.name) != field.default
    ]


def heads_of(
    terms: Sequence[Term], num_classes: int
) -> dict[str, int | Gate | Readout]:
    """Returns the heads that all terms together need.

    Args:
        terms: Result of `terms_of`.
        num_classes: Number of classes of the data set.

    Returns:
        Name of each head -> number of its outputs, its gate or its readout
        (`Term.heads`): `{"class": 10, "proxy": 7}`.

    Raises:
        InputError: Two terms need different heads of the same name.
    """
    heads: dict[str, int | Gate | Readout] = {}
    for term in terms:
        for name, head in term.heads(num_classes).items():
            known = heads.setdefault(name, head)
            if known != head:
                raise InputError(
                    f"The terms of `method` need two different heads {name!r}: with "
                    f"{known} and with {head} outputs."
                )
    return heads


def views_of(terms: Sequence[Term]) -> frozenset[str]:
    """Returns the names of all views that the terms read."""
    return frozenset(view for term in terms for view in term.views())


def copies_of(terms: Sequence[Term], source: str) -> int:
    """Returns how many images the terms read for each image of a source.

    Args:
        terms: Result of `terms_of`.
        source: "labeled" or "unlabeled".
    """
    views = (view(name) for name in views_of(terms))
    copies = sum(each.copies for each in views if each.source == source)
    if source == UNLABELED:
        copies -= sum(term.unread_views() for term in terms)
    return copies


def _summands(method: str) -> list[Term]:
    """Returns the terms of all summands; a term may occur twice."""
    terms: list[Term] = []
    for name in method.split("+"):
        if name in METHODS:
            terms += METHODS[name]
        elif name in TERMS:
            terms.append(TERMS[name]())
        else:
            raise unknown("method", name, dict.fromkeys([*METHODS, *TERMS]))
    return terms


def _differing(method: str, first: Term, second: Term) -> InputError:
    """Returns the error for a term that occurs twice with different fields."""
    name = TERMS.name_of(type(first))
    values = [
        (field.name, getattr(first, field.name), getattr(second, field.name))
        for field in dataclasses.fields(first)
    ]
    differences = [
        f"{field}={_text(one)} and {_text(other)}"
        for field, one, other in values
        if one != other
    ]
    return InputError(
        f"`method`={method} has the term {name!r} twice, with "
        f"{'; '.join(differences)}: set both to one value with "
        f"`set`={name}.FIELD=VALUE, or remove one method."
    )


def _text(value: object) -> str:
    """Returns a value as text that `with_text` can read."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _with_bn_stats(term: Term, bn_stats: str | None) -> Term:
    has_field = any(field.name == "bn_stats" for field in dataclasses.fields(term))
    if bn_stats is None or not has_field:
        return term
    return with_text(term, "bn_stats", bn_stats, name=type(term).__name__)


def _changed(terms: Sequence[Term], change: str) -> list[Term]:
    """Applies a change TERM.FIELD=VALUE to one term and returns all terms."""
    path, equals, text = change.partition("=")
    name, dot, field = path.partition(".")
    if not (equals and dot):
        raise InputError(f"Expected `set`=TERM.FIELD=VALUE. Received: {change!r}.")
    kind = TERMS[name]
    if all(type(term) is not kind for term in terms):
        known = ", ".join(dict.fromkeys(TERMS.name_of(type(term)) for term in terms))
        raise InputError(
            f"`set`={change}: the method has no term {name!r}. "
            f"It has: {known or 'none'}."
        )
    try:
        return [
            with_text(term, field, text, name=f"term {name!r}")
            if type(term) is kind
            else term
            for term in terms
        ]
    except InputError as error:
        raise InputError(f"`set`={change}: {error}") from error
