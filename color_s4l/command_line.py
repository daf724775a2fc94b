"""Command lines: dataclasses become flags, and errors become one line.

The flags of a command are the fields of one frozen dataclass made of `option(...)`.
absl's flags are defined and parsed in this module only; its global FLAGS are not used.
The library's messages contain parameter names in backticks. `run` prints such a name as
a flag if the command has this flag, for example --epochs for `epochs`.
"""

import dataclasses
import errno
import importlib
import io
import logging
import os
import pathlib
import re
import shlex
import sys
import tempfile
import textwrap
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from color_s4l import fields, registry
from color_s4l.errors import InputError, suggestion
from color_s4l.fields import ranges_of

_PRESET = "Set several flags at once; flags on the command line have priority."
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
# The disk is full, the user's quota is used up, or the file would be too large.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
Record = typing.TypeVar("Record")

_DEFINE = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}


def _split_fields(record: type) -> tuple[list, list]:
    """Returns the fields that are flags, and the field for other arguments, if any."""
    fields = dataclasses.fields(record)
    flagged = [field for field in fields if "operand" not in field.metadata]
    return flagged, [field for field in fields if "operand" in field.metadata]


def _value_type(annotation: typing.Any) -> tuple[type, bool]:
    """Returns the type of one value, and whether the flag may be repeated."""
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0], True
    members = [t for t in typing.get_args(annotation) if t is not type(None)]
    return (members[0] if members else annotation), False


def _choices(record: type, name: str) -> tuple[str, ...]:
    hints = typing.get_type_hints(record, include_extras=True)
    return next((r.choices for r in ranges_of(hints[name]) if r.choices), ())


def _presets(record: type) -> Mapping[str, Mapping]:
    """Returns the presets of a command: name -> values of flags."""
    return getattr(record, "presets", {})


def _groups(record: type) -> Mapping[str, Sequence[str]]:
    """Returns the groups of a command's flags: heading -> names of flags."""
    return getattr(record, "groups", {})


def _define(record: type, values: flags.FlagValues) -> None:
    annotations = typing.get_type_hints(record)
    for field in _split_fields(record)[0]:
        text, choices = field.metadata["text"], _choices(record, field.name)
        value_type, several = _value_type(annotations[field.name])
        define: typing.Any
        if several:
            define, default = flags.DEFINE_multi_string, list(field.default)
        elif choices:
            flags.DEFINE_enum(
                field.name, field.default, choices, text, flag_values=values
            )
            continue
        else:
            define, default = _DEFINE[value_type], field.default
        define(field.name, default, text, flag_values=values)
    if presets := _presets(record):
        flags.DEFINE_enum("preset", None, [*presets], _PRESET, flag_values=values)


def _help(record: type, description: str, *, everything: bool) -> str:
    """Returns the text of `--help`, or of `--help=all`.

    A record may have an attribute `groups`: heading -> names of flags. Then `--help`
    shows the first group only, and `--help=all` shows all groups.
    """
    others = _split_fields(record)[1]
    lines = [description.strip(), ""]
    for field in others:
        lines += [f"{field.metadata['operand']}...  {field.metadata['text']}", ""]
    flags_text = _flag_lines(record)
    groups = {name: list(names) for name, names in _groups(record).items()}
    grouped = {name for names in groups.values() for name in names}
    rest = [name for name in flags_text if name not in grouped]
    if rest:
        groups["Other flags" if groups else "Flags"] = rest
    shown = list(groups) if everything else list(groups)[:1]
    for heading in shown:
        lines += [f"{heading}:", *(flags_text[name] for name in groups[heading]), ""]
    lines.append("Flags are written as --name=value; --flagfile=FILE reads a file.")
    if len(shown) < len(groups):
        lines.append(f"--help=all lists all {len(flags_text)} flags.")
    return "\n".join(lines)


def _flag_lines(record: type) -> dict[str, str]:
    """Returns one line of help for each flag, by name."""
    lines = {}
    for field in _split_fields(record)[0]:
        default, choices = field.default, _choices(record, field.name)
        shown = "" if default is None or default == () else f" [{default}]"
        if choices:
            shown = f" {'|'.join(choices)}{shown}"
        text = with_flags(field.metadata["text"], record)
        lines[field.name] = f"  --{field.name:<21} {text}{shown}"
    if presets := _presets(record):
        lines["preset"] = f"  --{'preset':<21} {_PRESET} {'|'.join(presets)}"
    return lines


def _registered() -> str:
    """Returns the names of methods, recipes, networks and data sets."""
    start_keras()
    kinds = {
        "Methods (any sum, a+b)": registry.METHODS,
        "Recipes": registry.RECIPES,
        "Networks": registry.TRUNKS,
        "Data sets (and every name of tensorflow-datasets)": registry.SOURCES,
    }
    lines = []
    for heading, names in kinds.items():
        text = textwrap.fill(", ".join(names), 78, break_on_hyphens=False)
        lines += ["", f"{heading}:", textwrap.indent(text, "  ")]
    return "\n".join(lines)


def parse(record: type[Record], arguments: Sequence[str], description: str) -> Record:
    """Reads a command line into a dataclass.

    Args:
        record: A frozen dataclass made of `option` fields.
        arguments: The arguments after the program's name.
        description: First lines of `--help`.

    Returns:
        An instance of `record`.

    Raises:
        InputError: A flag is unknown (the closest one is suggested), a value has the
            wrong type, or an argument is not a flag and `record` has no field for it.
        SystemExit: `--help` or `--help=all` was given (code 0).
    """
    values = flags.FlagValues()
    _define(record, values)
    if {"--help", "-h", "--helpfull", "-help", "--help=all"} & set(arguments):
        everything = "--help=all" in arguments
        print(_help(record, description, everything=everything))
        if everything and _groups(record):
            print(_registered())
        raise SystemExit(0)
    try:
        rest = values(["command", *arguments])[1:]
    except (flags.Error, ValueError) as error:  # ValueError for --noflag=value
        text = " ".join(str(error).removeprefix("ERROR:: ").split())
        raise InputError(text + _closest_choice(text)) from error
    flagged, others = _split_fields(record)
    if rest and not others:
        raise InputError(f"Expected flags (--name=value). Received: {' '.join(rest)}.")
    if "preset" in values and values.preset:
        _set_absent(values, _presets(record)[values.preset])
    found = {field.name: values[field.name].value for field in flagged}
    found |= {field.name: rest for field in others}
    return record(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    )


def _set_absent(values: flags.FlagValues, preset: Mapping) -> None:
    """Sets the flags that are not on the command line to the values of a preset."""
    for name, value in preset.items():
        if not values[name].present:
            values[name].value = value


def _closest_choice(text: str) -> str:
    """Returns a suggestion for a wrong choice; absl's message has none."""
    found = re.fullmatch(r"flag --\w+=(.*): value should be one of <(.*)>", text)
    return suggestion(found[1], found[2].split("|")) if found else ""


def spelled(values: typing.Any) -> list[str]:
    """Returns the flags that give a record's values; defaults are left out.

    Args:
        values: An instance of a dataclass made of `option` fields.

    Returns:
        Arguments that `parse` reads back to the same record.
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


def command(module: str, values: typing.Any) -> str:
    """Returns the command line that runs a command with these values again.

    Args:
        module: The command's module: "color_s4l.train".
        values: An instance of the command's dataclass.
    """
    return shlex.join(["python", "-m", module, *spelled(values)])


def with_flags(text: str, record: type) -> str:
    """Returns a message with flags for names in backticks: --epochs for `epochs`.

    Names that are not flags of the record stay unchanged.
    """
    names = {field.name for field in _split_fields(record)[0]}
    return re.sub(r"`(\w+)`", lambda m: f"--{m[1]}" if m[1] in names else m[0], text)


def start_keras() -> None:
    """Imports Keras without the messages that TensorFlow prints on loading.

    TensorFlow's C++ code prints these messages before it reads any log level, so the
    file descriptor of stderr is redirected during the import. Later warnings that
    functions are traced again are left out too: each model of a process traces its own.
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
    logging.getLogger("tensorflow").addFilter(_is_shown)


def _is_shown(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in str(record.msg)


def divert_native_messages() -> pathlib.Path:
    """Writes the messages of C++ code to a file; Python's messages are still shown.

    If one of several processes ends unexpectedly, the C++ code of TensorFlow and JAX
    writes pages of errors in the other processes. On the terminal, they would hide the
    library's one-line error. The file may contain the cause of the failure.

    Returns:
        The file, in the folder for temporary files.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    file, path = tempfile.mkstemp(prefix="color_s4l-", suffix=".log")
    os.dup2(file, 2)
    os.close(file)
    return pathlib.Path(path)


class _Printer(logging.Handler):
    """A log handler that prints: information on stdout, warnings on stderr.

    Args:
        flagged: The command's dataclass; `with_flags` reads the names of its flags.
    """

    def __init__(self, flagged: type):
        super().__init__()
        self.flagged = flagged

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message to the current stream; tests replace the streams."""
        warning = record.levelno >= logging.WARNING
        stream = sys.stderr if warning else sys.stdout
        text = with_flags(self.format(record), self.flagged)
        print(text, file=stream, flush=True)


def _show_messages(record: type) -> None:
    """Shows the library's log messages and warnings on the terminal."""
    logger = logging.getLogger("color_s4l")
    # Another command may have run before in this process.
    printers = [each for each in logger.handlers if isinstance(each, _Printer)]
    for printer in printers:
        logger.removeHandler(printer)
    logger.addHandler(_Printer(record))
    logger.setLevel(logging.INFO)
    # Other packages add handlers to the root logger, which would print twice.
    logger.propagate = False

    def show(message, category, filename, lineno, file=None, line=None):
        print(f"warning: {with_flags(str(message), record)}", file=sys.stderr)

    warnings.showwarning = show


def run(
    action: Callable[[Record], object],
    record: type[Record],
    description: str,
    arguments: Sequence[str] | None = None,
    *,
    needs_keras: bool = True,
    check: Callable[[Record], None] = fields.check,
) -> int:
    """Runs a command; an error of the user becomes one line and exit code 2.

    Args:
        action: Function that does the work of the command, given the parsed record.
        record: The command's dataclass. If it has the field `plugins`, these modules
            are loaded before `action` is called.
        description: First lines of `--help`.
        arguments: The arguments after the program's name; default: `sys.argv[1:]`.
        needs_keras: Whether to import Keras before `action`, without TensorFlow's
            messages.
        check: Function that checks the parsed record before Keras is imported. The
            import takes seconds, so wrong input is reported before it.

    Returns:
        The exit code: 0; 2 after an `InputError` or if a file cannot be read or
        written; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names are bytes, not always UTF-8, and must not make `print` fail. (Tests
        # replace the streams by objects of other types.)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        words = sys.argv[1:] if arguments is None else arguments
        values = parse(record, words, description)
        _show_messages(record)
        check(values)
        if needs_keras:
            start_keras()
        registry.load_plugins(getattr(values, "plugins", ()))
        action(values)
    except InputError as error:
        print(f"error: {with_flags(str(error), record)}", file=sys.stderr)
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
    """Returns how to continue a stopped command; "" without a flag --resume."""
    if not any(field.name == "resume" for field in dataclasses.fields(record)):
        return ""
    return ": the same command with --resume continues after the last complete epoch"
