"""Loss terms, one per file; a method is a sum of terms (`color_s4l.methods`)."""

from color_s4l.terms.term import Outcome, Progress, Term

__all__ = ["Outcome", "Progress", "Term"]
