"""The parts that a method is a sum of: one loss term per file."""

from color_s4l.terms.polyak import Polyak
from color_s4l.terms.proxies import Proxies
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.term import Outcome, Progress, Term

TERMS = {"supervised": Supervised, "proxies": Proxies, "polyak": Polyak}

__all__ = ["TERMS", "Outcome", "Polyak", "Progress", "Proxies", "Supervised", "Term"]
