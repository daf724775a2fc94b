"""Errors that a user can correct.

The library raises `InputError` for a misspelt name, a missing file, a number out of
range and the like. Commands print its text and exit with code 2, and treat an `OSError`
(for example, a full disk) in the same way. Any other exception is a bug in the library
and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in the user's input; its text is one line that says how to fix it."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Returns the error for an unknown name; it lists all names and suggests one.

    Args:
        kind: Kind of the name, as a noun: "method", "network".
        name: The unknown name.
        known: The names that exist.
    """
    known = list(known)
    return InputError(
        f"There is no {kind} {name!r}.{suggestion(name, known)} "
        f"There are: {', '.join(known)}."
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns a suggestion such as " Did you mean 'convnet'?"; "" if no name is close.

    Args:
        name: The unknown name.
        known: The names that exist.
    """
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return f" Did you mean {lower[close[0]]!r}?" if close else ""
