"""A command is a frozen dataclass: its fields are the flags.

Every command of the library describes what it needs in one dataclass made of
`option(...)` fields. From it come the flags, `--help`, flagfiles
(`--flagfile=flags/...`, absl's) and the checked values, so that no flag can be
defined and read by nobody. Nothing here touches absl's global FLAGS.
"""

import dataclasses
import errno
import importlib
import os
import re
import sys
import typing
from collections.abc import Callable, Sequence

from absl import flags

from color_s4l.errors import InputError, suggestion

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
# Of the disk, the user's share of it, or the file's largest size.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
Record = typing.TypeVar("Record")

_DEFINE = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}


def option(default: object, text: str, choices: Sequence[str] = ()) -> typing.Any:
    """A dataclass field that becomes a flag.

    Args:
        default: The flag's value where the user gives none.
        text: One line for `--help`.
        choices: The values allowed for a text flag; empty for any.

    Returns:
        A `dataclasses.field`.
    """
    metadata = {"text": text, "choices": tuple(choices)}
    return dataclasses.field(default=default, metadata=metadata)


def operands(name: str, text: str) -> typing.Any:
    """A dataclass field that takes the words of the command line that are no flags.

    Args:
        name: What one word is, for `--help`: "RUN".
        text: One line for `--help`.

    Returns:
        A `dataclasses.field` for a tuple of texts.
    """
    return dataclasses.field(default=(), metadata={"text": text, "operand": name})


def _split_fields(record: type) -> tuple[list, list]:
    """The fields that are flags, and the one, if any, that takes the other words."""
    fields = dataclasses.fields(record)
    flagged = [field for field in fields if "operand" not in field.metadata]
    return flagged, [field for field in fields if "operand" in field.metadata]


def _value_type(annotation: object) -> tuple[type, bool]:
    """The type of one value, and whether the flag may be given several times."""
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0], True
    members = [t for t in typing.get_args(annotation) if t is not type(None)]
    return (members[0] if members else annotation), False


def _define(record: type, values: flags.FlagValues) -> None:
    annotations = typing.get_type_hints(record)
    for field in _split_fields(record)[0]:
        text, choices = field.metadata["text"], field.metadata["choices"]
        value_type, several = _value_type(annotations[field.name])
        if several:
            define = flags.DEFINE_multi_string
        elif choices:
            flags.DEFINE_enum(
                field.name, field.default, choices, text, flag_values=values
            )
            continue
        else:
            define = _DEFINE[value_type]
        default = list(field.default) if several else field.default
        define(field.name, default, text, flag_values=values)


def _help(record: type, description: str) -> str:
    flagged, worded = _split_fields(record)
    lines = [description.strip(), ""]
    for field in worded:
        lines += [f"{field.metadata['operand']}...  {field.metadata['text']}", ""]
    lines.append("Flags (--name=value; --flagfile=FILE reads more):")
    for field in flagged:
        default = field.default
        shown = "" if default is None or default == () else f" [{default}]"
        if field.metadata["choices"]:
            shown = f" {'|'.join(field.metadata['choices'])}{shown}"
        lines.append(f"  --{field.name:<21} {field.metadata['text']}{shown}")
    return "\n".join(lines)


def parse(record: type[Record], arguments: Sequence[str], description: str) -> Record:
    """Reads a command line into its dataclass.

    Args:
        record: A frozen dataclass made of `option` fields.
        arguments: The words after the program's name.
        description: What `--help` says first.

    Returns:
        An instance of `record`.

    Raises:
        InputError: A flag is unknown (the closest is suggested), a value is not
            of its type, or a word is no flag.
        SystemExit: `--help` was asked for (code 0).
    """
    values = flags.FlagValues()
    _define(record, values)
    if {"--help", "-h", "--helpfull", "-help"} & set(arguments):
        print(_help(record, description))
        raise SystemExit(0)
    try:
        rest = values(["command", *arguments])[1:]
    except (flags.Error, ValueError) as error:  # the other of --noflag=value
        text = " ".join(str(error).removeprefix("ERROR:: ").split())
        raise InputError(text + _closest_choice(text)) from error
    flagged, worded = _split_fields(record)
    if rest and not worded:
        raise InputError(f"Expected flags (--name=value). Received: {' '.join(rest)}.")
    found = {field.name: values[field.name].value for field in flagged}
    found |= {field.name: rest for field in worded}
    return record(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    )


def _closest_choice(text: str) -> str:
    """What absl leaves out of its message on a choice that does not exist."""
    found = re.fullmatch(r"flag --\w+=(.*): value should be one of <(.*)>", text)
    return suggestion(found[1], found[2].split("|")) if found else ""


def spelled(values: object) -> list[str]:
    """The flags that give a record's values; defaults are left out.

    Args:
        values: An instance of a dataclass made of `option` fields.

    Returns:
        Words of a command line that `parse` reads back to the same record.
    """
    words = []
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if value == field.default:
            continue
        if "operand" in field.metadata:
            words += value
        elif isinstance(value, bool):
            words.append(f"--{'' if value else 'no'}{field.name}")
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"--{field.name}={one}" for one in several]
    return words


def start_keras() -> None:
    """Imports Keras without the greetings that TensorFlow prints on loading.

    They come from its C++ side before any log level is read, so the process's
    stderr itself is turned away meanwhile.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        importlib.import_module("keras")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def run(
    action: Callable[[Record], object],
    record: type[Record],
    description: str,
    arguments: Sequence[str] | None = None,
    *,
    needs_keras: bool = True,
) -> int:
    """Runs a command, and turns a user's mistake into one line and exit code 2.

    Args:
        action: Receives the parsed record.
        record: The command's dataclass.
        description: What `--help` says first.
        arguments: The words after the program's name; default: `sys.argv`.
        needs_keras: Whether to start Keras first, without its greetings.

    Returns:
        The exit code: 0; 2 after an `InputError` or where a file can't be read or
        written; 130 after Ctrl-C.
    """
    try:
        words = sys.argv[1:] if arguments is None else arguments
        values = parse(record, words, description)
        if needs_keras:
            start_keras()
        action(values)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        again = _again(record) if error.errno in _FULL else ""
        print(f"error: {error.strerror or error}{where}{again}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        print(f"\ninterrupted{_again(record)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _again(record: type) -> str:
    """How to go on with a command that was stopped, if it can."""
    if not any(field.name == "resume" for field in dataclasses.fields(record)):
        return ""
    return ": the same command with --resume goes on from what is complete"
