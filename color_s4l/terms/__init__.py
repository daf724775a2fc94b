"""The parts that a method is a sum of: one loss term per file."""

from color_s4l.terms.entropy import Entropy
from color_s4l.terms.mean_teacher import MeanTeacher
from color_s4l.terms.pi_model import PiModel
from color_s4l.terms.polyak import Polyak
from color_s4l.terms.proxies import Proxies
from color_s4l.terms.supervised import Supervised
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
}

__all__ = [
    "TERMS",
    "Entropy",
    "MeanTeacher",
    "Outcome",
    "PiModel",
    "Polyak",
    "Progress",
    "Proxies",
    "Supervised",
    "TemporalEnsembling",
    "Term",
    "Vat",
]
