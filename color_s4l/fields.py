"""Fields of settings and hyper-parameters: their ranges, and values given as text.

A range is part of the type hint, so that a field is declared in one place:

    weight: Annotated[float, AtLeast(0)] = 1.0
    ramp: Annotated[str, OneOf("sigmoid", "linear")] = "sigmoid"
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable

from color_s4l.errors import InputError, suggestion

Record = typing.TypeVar("Record", bound=typing.Any)


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a field accepts.

    Attributes:
        text: The values in words, for error messages: "0 or more".
        contains: Returns whether a value is accepted.
        choices: The accepted texts, if there is a finite number of them.
    """

    text: str
    contains: Callable[[typing.Any], bool]
    choices: tuple[str, ...] = ()


def AtLeast(minimum: float) -> Range:  # noqa: N802, reads like a type in a hint
    """Returns the range of finite numbers from `minimum`."""
    return Range(f"{minimum:g} or more", lambda x: minimum <= x < math.inf)


def Above(minimum: float) -> Range:  # noqa: N802
    """Returns the range of finite numbers greater than `minimum`."""
    return Range(f"more than {minimum:g}", lambda x: minimum < x < math.inf)


def Between(low: float, high: float) -> Range:  # noqa: N802
    """Returns the range from `low` to `high`, both included."""
    return Range(f"from {low:g} to {high:g}", lambda x: low <= x <= high)


def Below(high: float, low: float = 0) -> Range:  # noqa: N802
    """Returns the range from `low` (included) to `high` (excluded)."""
    return Range(f"from {low:g} to less than {high:g}", lambda x: low <= x < high)


def OneOf(*choices: str) -> Range:  # noqa: N802
    """Returns the range that holds exactly these texts."""
    return Range(" or ".join(choices), lambda x: x in choices, choices)


def option(default: typing.Any, text: str) -> typing.Any:
    """Returns a dataclass field that becomes a flag of a command.

    Args:
        default: The value if the flag is not given.
        text: One line for `--help`.
    """
    return dataclasses.field(default=default, metadata={"text": text})


def operands(name: str, text: str) -> typing.Any:
    """Returns a dataclass field for the arguments of a command that are not flags.

    Args:
        name: Name of one argument in `--help`: "RUN".
        text: One line for `--help`.
    """
    return dataclasses.field(default=(), metadata={"text": text, "operand": name})


def ranges_of(hint: typing.Any) -> list[Range]:
    """Returns the ranges in a type hint; `Annotated[...] | None` is searched too."""
    if typing.get_origin(hint) is typing.Annotated:
        return [part for part in hint.__metadata__ if isinstance(part, Range)]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [found for part in typing.get_args(hint) for found in ranges_of(part)]
    return []


def check(record: typing.Any) -> None:
    """Checks every field of a dataclass instance against the ranges in its hints.

    A field that is None is not checked.

    Args:
        record: An instance of a dataclass.

    Raises:
        InputError: A value is outside its range.
    """
    hints = typing.get_type_hints(type(record), include_extras=True)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None:
            continue
        for allowed in ranges_of(hints[field.name]):
            if not allowed.contains(value):
                raise InputError(
                    f"Expected `{field.name}` to be {allowed.text}. "
                    f"Received: {value!r}."
                )


def with_text(record: Record, field: str, text: str, *, name: str) -> Record:
    """Returns a copy of a record in which one field has a value given as text.

    Args:
        record: An instance of a frozen dataclass.
        field: Name of the field.
        text: The value. A tuple is written with commas, a bool as true or false.
        name: Name of the record in error messages: "term 'vat'".

    Raises:
        InputError: The field does not exist, or the text has the wrong type; or the
            value is outside the field's range and the record checks its ranges when it
            is created.
    """
    hints = typing.get_type_hints(type(record))
    known = [each.name for each in dataclasses.fields(record)]
    if field not in known:
        raise InputError(
            f"The {name} has no hyper-parameter {field!r}."
            f"{suggestion(field, known)} It has: {', '.join(known)}."
        )
    try:
        value = _parse(hints[field], text)
    except (ValueError, KeyError) as error:
        wanted = getattr(hints[field], "__name__", str(hints[field]))
        raise InputError(
            f"Expected {field!r} of the {name} to be of type {wanted}. "
            f"Received: {json.dumps(text)}."
        ) from error
    return dataclasses.replace(record, **{field: value})


def _parse(hint: typing.Any, text: str) -> typing.Any:
    if typing.get_origin(hint) is tuple:
        return tuple(text.split(","))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = typing.get_args(hint)[0]  # the other type is None
    if hint is bool:
        return {"true": True, "false": False}[text.lower()]
    return hint(text)
