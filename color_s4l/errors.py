"""What a person did wrong, in one line.

The library raises `InputError` for everything that a user can mend: a misspelt
name, a missing file, a number that does not fit. The commands print its text
and exit with code 2. Any other exception is a fault of ours and keeps its
traceback.
"""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in what the user gave; its text is one line that says the mend."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a table.

    Args:
        kind: What the name should be, as a noun: "method", "network".
        name: What came.
        known: The names that exist.

    Returns:
        An `InputError` (to be raised by the caller) that lists the known names
        and suggests the closest.
    """
    known = list(known)
    return InputError(
        f"There is no {kind} {name!r}.{suggestion(name, known)} "
        f"There are: {', '.join(known)}."
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question after the closest known name; empty where none is close.

    Args:
        name: What came.
        known: The names that exist.

    Returns:
        Such as " Did you mean 'convnet'?".
    """
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return f" Did you mean {lower[close[0]]!r}?" if close else ""
