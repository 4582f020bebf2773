"""Words to values: a command's options are the parameters of its function, and an experiment's are those of its own."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verax.cli._file import load_experiment
from verax.findings import InputError

Parameter = inspect.Parameter
PLAIN = (int, float, str, bool, Path, type(None))
NOUNS = {
    "out": "PATH",
    "figures": "DIR",
    "study": "FILE",
    "file": "FILE",
    "waive": "ITEM=REASON",
    "limit": "NAME=VALUE",
    "space": "NAME=VALUES",
    "wandb": "PROJECT",
    "mlflow": "URI",
}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse(function: Callable[..., Any], words: Sequence[str], command: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the positional and the named arguments for a command's function.

    Positional-only parameters become positional words, the others options. A function that takes `**hyperparameters`
    gets the parameters of the experiment in its file as options too; for that the file is run.

    Args:
      function: of the command; its docstring is the help.
      words: after the command's name.
      command: how the command is called, for messages.

    Raises:
      InputError: for an unknown option, with a suggestion.
      SystemExit: with 0 after printing help, with 2 after printing what is wrong with a value.
    """
    import tyro

    own = list(inspect.signature(function).parameters.values())
    hints, helps = typing.get_type_hints(function), _argument_helps(function)
    shown = [_own(each, hints[each.name], helps) for each in own if each.kind is not Parameter.VAR_KEYWORD]
    if len(shown) < len(own) and (file := _python_file(words)) is not None:
        experiment = load_experiment(file)
        searched = {
            word.partition("=")[0].replace("-", "_") for word in words if "=" in word and not word.startswith("-")
        }
        taken = {each.name for each in own}
        theirs = experiment_parameters(experiment, taken)
        shown += [each for each in theirs if each.name not in searched | taken]

    bools = {each.name for each in shown if _kind(each.annotation) is bool}
    description = inspect.getdoc(function) or ""
    options, left = tyro.cli(
        _record(shown),
        args=["--help"] if {"-h", "--help"} & set(words) else _spelled(words, bools),
        prog=command,
        description=description.partition("\nArgs:")[0].strip(),
        return_unknown_args=True,
    )
    _refuse(left, [each.name for each in shown if each.kind is not Parameter.POSITIONAL_ONLY], command)
    values = {each.name: getattr(options, each.name) for each in shown}
    positional = tuple(values.pop(each.name) for each in shown if each.kind is Parameter.POSITIONAL_ONLY)
    return positional, values


def _record(parameters: Sequence[inspect.Parameter]) -> Any:
    """Returns a class with a field for each parameter, as tyro reads it."""
    import tyro

    fields = []
    for each in parameters:
        kind = tyro.conf.Positional[each.annotation] if each.kind is Parameter.POSITIONAL_ONLY else each.annotation
        known: dict[str, Any] = (
            {} if each.default is Parameter.empty else {"default_factory": functools.partial(_same, each.default)}
        )
        fields.append((each.name, kind, dataclasses.field(**known)))  # a factory, since a default may be a list
    return dataclasses.make_dataclass("Options", fields, kw_only=True)


def _same(value: Any) -> Any:
    return value


def experiment_parameters(experiment: Callable[..., Any], taken: set[str]) -> list[inspect.Parameter]:
    """Returns the parameters of an experiment as options.

    Raises:
      InputError: if a name is one of the command's own, or a required parameter cannot be written on a command line.
    """
    kinds, helps = parameter_kinds(experiment), _argument_helps(experiment)
    options = []
    for name, each in inspect.signature(experiment).parameters.items():
        if each.kind in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL):
            continue
        if name in taken - {"seed"} | {"initial", "experiment"}:
            raise InputError(f"experiment must not have a parameter {name!r}, which is an option of Verax. Rename it.")
        if not _is_writable(kinds[name]):
            if each.default is Parameter.empty:
                raise InputError(
                    f"the experiment needs {name!r}, which cannot be written on a command line ({kinds[name]}). "
                    "Give it a default."
                )
            continue
        options.append(_option(name, kinds[name], each.default, helps.get(name, "")))
    if not any(option.name == "seed" for option in options):
        options.append(
            _option("seed", int | None, None, "of weights, noise and order; the experiment's own if not given")
        )
    return options


def parameter_kinds(experiment: Callable[..., Any]) -> dict[str, Any]:
    """Returns the type of each parameter of an experiment: as annotated, else that of its default, else text."""
    try:
        hints = typing.get_type_hints(experiment)
    except Exception:  # an annotation may name anything
        hints = {}
    parameters = inspect.signature(experiment).parameters
    return {name: hints.get(name, _kind_of_default(each.default)) for name, each in parameters.items()}


def _kind_of_default(default: Any) -> Any:
    if default is None or default is Parameter.empty:
        return str
    if isinstance(default, int) and not isinstance(default, bool):
        return int | float  # an unannotated 0 may well mean 0.0
    if isinstance(default, tuple | list) and default:
        element = _kind_of_default(default[0])
        return tuple[element, ...] if isinstance(default, tuple) else list[element]
    return type(default)


def _is_writable(kind: Any) -> bool:
    """Returns whether a value of a type can be written as words."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return True
    if origin in (typing.Union, types.UnionType, tuple, list, Sequence):
        return all(each is Ellipsis or _is_writable(each) for each in typing.get_args(kind))
    return kind in PLAIN or (isinstance(kind, type) and issubclass(kind, enum.Enum))


def _own(parameter: inspect.Parameter, hint: Any, helps: Mapping[str, str]) -> inspect.Parameter:
    import tyro

    switch = (tyro.conf.FlagCreatePairsOff,) if hint is bool else ()
    return _option(parameter.name, hint, parameter.default, helps.get(parameter.name, ""), parameter.kind, *switch)


def _option(
    name: str, kind: Any, default: Any, text: str, place: Any = Parameter.KEYWORD_ONLY, *marks: Any
) -> inspect.Parameter:
    import tyro

    noun = NOUNS.get(name, name.upper()) if Path in (kind, *typing.get_args(kind)) or name in NOUNS else None
    if kind == int | None and default is None:
        noun = "INT"
    if kind == tuple[str, ...] and name in NOUNS:
        marks = (*marks, tyro.conf.UseAppendAction)
    hint = "" if default is None or default is False or default == () else None  # says nothing
    annotation = typing.Annotated[kind, tyro.conf.arg(help=text or " ", metavar=noun, help_behavior_hint=hint), *marks]
    return Parameter(name, place, default=default, annotation=annotation)


def _kind(annotation: Any) -> Any:
    return typing.get_args(annotation)[0]


def _python_file(words: Sequence[str]) -> Path | None:
    """Returns the file among the words: the one that ends in .py, else the first word if it is no option.

    A folder is no file: a run has the hyperparameters that it was made with, and takes none.
    """
    named = [word for word in words if word.endswith(".py") and not word.startswith("-")]
    first = [word for word in words[:1] if not word.startswith("-") and not Path(word).is_dir()]
    return Path((named or first)[0]) if named or first else None


def _spelled(words: Sequence[str], bools: set[str]) -> list[str]:
    """Returns the words with `--flag true` and `--flag=false` as `--flag` and `--no-flag`, each space after its own."""
    spelled: list[str] = []
    waiting, space = list(words), False
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-"):
            space = word == "--space"
        elif space and spelled[-1] != "--space" and word.partition("=")[0].replace("-", "_").isidentifier():
            spelled += ["--space"] if "=" in word else []
        name, equals, value = word.partition("=")
        if name.startswith("--") and name[2:].replace("-", "_") in bools:
            if not equals and waiting and waiting[0].lower() in TRUE + FALSE:
                value = waiting.pop(0)
            word = f"--no-{name[2:]}" if value.lower() in FALSE else name
            if value and value.lower() not in TRUE + FALSE:
                raise InputError(f"{name} must be true or false, got {value!r}.")
        spelled.append(word)
    return spelled


def _refuse(left: Sequence[str], names: Sequence[str], command: str) -> None:
    """Raises an InputError for words that nothing takes."""
    if not left:
        return
    known = [f"--{name.replace('_', '-')}" for name in names]
    lines = []
    for word in left:
        if not word.startswith("--"):
            continue
        name = word.partition("=")[0].replace("_", "-")
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known) or 'none'}."
        lines.append(f"unknown option {name}. {hint}")
    raise InputError("\n".join(lines or [f"unexpected {' '.join(left)!r}."]) + f"\nSee {command} --help.")


def _argument_helps(function: Callable[..., Any]) -> dict[str, str]:
    """Returns what a Google-style docstring says about each argument."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", inspect.getdoc(function) or "", re.MULTILINE)
    helps: dict[str, str] = {}
    name = ""
    for line in section[1].splitlines() if section else ():
        entry = re.match(r"\s+\**(\w+)(?: \(.*?\))?: (.*)", line)
        if entry and len(line) - len(line.lstrip()) <= 4:
            name, text = entry.groups()
            helps[name] = text.strip()
        elif name:
            helps[name] = f"{helps[name]} {line.strip()}".strip()
    return helps
