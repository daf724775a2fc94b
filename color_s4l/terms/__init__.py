"""The parts that a method is a sum of: one loss term per file."""

from color_s4l.terms.attention import AttentionDistance
from color_s4l.terms.entropy import Entropy
from color_s4l.terms.exemplar import Exemplar
from color_s4l.terms.fixmatch import FixMatch
from color_s4l.terms.ict import InterpolationConsistency
from color_s4l.terms.labeled_rotations import LabeledRotations
from color_s4l.terms.manifold_mixup import ManifoldMixup
from color_s4l.terms.mean_teacher import MeanTeacher
from color_s4l.terms.mixmatch import MixMatch
from color_s4l.terms.mixup import Mixup
from color_s4l.terms.pi_model import PiModel
from color_s4l.terms.polyak import Polyak
from color_s4l.terms.proxies import Proxies
from color_s4l.terms.pseudo_label import PseudoLabel
from color_s4l.terms.pseudo_label_epochs import PseudoLabelEpochs
from color_s4l.terms.relabeled import Relabeled
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.temporal_consistency import TemporalConsistency
from color_s4l.terms.temporal_ensembling import TemporalEnsembling
from color_s4l.terms.term import Outcome, Progress, Term
from color_s4l.terms.vat import Vat

TERMS = {
    "supervised": Supervised,
    "proxies": Proxies,
    "pi_model": PiModel,
    "temporal_ensembling": TemporalEnsembling,
    "mean_teacher": MeanTeacher,
    "vat": Vat,
    "entropy": Entropy,
    "polyak": Polyak,
    "mixup": Mixup,
    "manifold_mixup": ManifoldMixup,
    "ict": InterpolationConsistency,
    "pseudo_label": PseudoLabel,
    "pseudo_label_epochs": PseudoLabelEpochs,
    "mixmatch": MixMatch,
    "fixmatch": FixMatch,
    "attention": AttentionDistance,
    "labeled_rotations": LabeledRotations,
    "exemplar": Exemplar,
    "relabeled": Relabeled,
    "temporal_consistency": TemporalConsistency,
}

__all__ = [
    "TERMS",
    "AttentionDistance",
    "Entropy",
    "Exemplar",
    "FixMatch",
    "InterpolationConsistency",
    "LabeledRotations",
    "ManifoldMixup",
    "MeanTeacher",
    "MixMatch",
    "Mixup",
    "Outcome",
    "PiModel",
    "Polyak",
    "Progress",
    "Proxies",
    "PseudoLabel",
    "PseudoLabelEpochs",
    "Relabeled",
    "Supervised",
    "TemporalConsistency",
    "TemporalEnsembling",
    "Term",
    "Vat",
]
