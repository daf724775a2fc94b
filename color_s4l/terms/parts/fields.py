"""A hyper-parameter changed by a text: what `--set=NAME.FIELD=VALUE` does."""

import dataclasses
import json
import typing

from color_s4l.errors import InputError, suggestion


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
        InputError: There is no such field, or the text is no value of its type, or
            out of its range.
    """
    value = _value(record, kind, name, field, text)
    try:
        return dataclasses.replace(record, **{field: value})
    except InputError as error:
        raise InputError(f"--set={name}.{field}={text}: {error}") from error


def _value(record, kind: str, name: str, field: str, text: str) -> typing.Any:
    """`text` as the field's type."""
    types = typing.get_type_hints(type(record))
    if field not in types:
        raise InputError(
            f"{kind} {name!r} has no hyper-parameter {field!r}."
            f"{suggestion(field, types)} It has: {', '.join(types)}."
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
