"""Studies as files: `study.json`, written by `tune` and read by `certify`."""

from __future__ import annotations

import ast
import itertools
import json
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verax.findings import InputError


@dataclass(frozen=True)
class StudyOnDisk:
    """What a study says about itself, without its runs: all that a certificate asks of one.

    Attributes:
      trials: each a `verax.tune.Trial`, in the order they were run.
      metric: what chose among them.
      best: the trial that won.
    """

    trials: tuple[Any, ...]
    metric: str
    best: Any


def read_study(path: Path) -> StudyOnDisk:
    """Returns the study in a file.

    Raises:
      InputError: if it is missing or no study.
    """
    from verax.tune import Trial

    def trial(content: Mapping[str, Any]) -> Trial:
        value = math.nan if content["value"] is None else float(content["value"])
        return Trial(dict(content["hyperparameters"]), value, float(content["seconds"]), str(content["stop_reason"]))

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return StudyOnDisk(tuple(map(trial, content["trials"])), str(content["metric"]), trial(content["best"]))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. Give the study.json that verax tune wrote.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__} {error}"
        raise InputError(f"{path} is no study: {found}. Give the study.json that verax tune wrote.") from error


def read_space(texts: Sequence[str], kinds: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns the space that options such as `learning_rate=1e-3,1e-2` describe, each value of its parameter's type.

    Raises:
      InputError: if an option is malformed, names an unknown parameter, or a value has the wrong type.

    Example:
      >>> read_space(["hidden=64,128", "rate=0.5,1"], {"hidden": int, "rate": float})
      {'hidden': [64, 128], 'rate': [0.5, 1.0]}
    """
    space: dict[str, list[Any]] = {}
    for name, text in pairs(texts, "space", "learning_rate=1e-3,1e-2"):
        name = name.replace("-", "_")
        if name in space:
            raise InputError(f"space names {name!r} twice. Give all its values at once: --space {name}=A,B.")
        space[name] = [_value(name, each, kinds.get(name, str)) for each in _split(text)]
    return space


def pairs(texts: Sequence[str], option: str, example: str) -> list[tuple[str, str]]:
    """Returns name and value of each `NAME=VALUE`.

    Raises:
      InputError: if one is not of this form.
    """
    split = [text.partition("=") for text in texts]
    for (name, equals, value), text in zip(split, texts, strict=True):
        if not (name.strip() and equals and value.strip()):
            raise InputError(f"--{option} must be of the form {example}, got {text!r}.")
    return [(name.strip(), value.strip()) for name, _, value in split]


def _split(text: str) -> list[str]:
    """Returns the values between commas, where those within brackets do not count."""
    depth = itertools.accumulate(text, lambda depth, letter: depth + (letter in "([") - (letter in ")]"), initial=0)
    marked = "".join("\0" if pair == (",", 0) else pair[0] for pair in zip(text, depth, strict=False))
    return [part.strip() for part in marked.split("\0") if part.strip()]


def _value(name: str, text: str, kind: Any) -> Any:
    """Returns a value of a parameter's type."""
    try:
        read = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        read = {"true": True, "false": False}.get(text.lower(), text)
    options = _alternatives(kind)
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            for choice in typing.get_args(option):
                if choice in (text, read):
                    return choice
        elif option is float and isinstance(read, int | float) and not isinstance(read, bool):
            return float(read)
        elif option in (int, bool, tuple, list, type(None)) and type(read) is option:
            return read
        elif option is str:
            return text
        elif option is Path:
            return Path(text)
    wanted = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise InputError(f"the values of {name!r} must be {wanted}, got {text!r}.")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the types that a value may have, generic ones by their origin, text last: everything is text."""
    parts = typing.get_args(kind) if typing.get_origin(kind) not in (None, typing.Literal, tuple, list) else (kind,)
    plain = [part if typing.get_origin(part) in (None, typing.Literal) else typing.get_origin(part) for part in parts]
    return tuple(sorted(plain, key=lambda part: part is str))
