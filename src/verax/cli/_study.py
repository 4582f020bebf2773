"""Studies as files: `study.json`, written by `tune` and read by `certify`."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verax.findings import InputError

INTERVALS = {  # by name: the type of their ends, and the function that makes one
    "uniform": (float, "uniform"),
    "log": (float, "log_uniform"),
    "int": (int, "int_uniform"),
    "logint": (int, "int_uniform"),
}
FORMS = "values as A,B,C, or uniform(LOW,HIGH), log(LOW,HIGH), int(LOW,HIGH) or logint(LOW,HIGH)"


@dataclass(frozen=True)
class StudyOnDisk:
    """What a study says about itself, without its runs: all that a certificate asks of one.

    Attributes:
      trials: each a `verax.tune.Trial`, in the order they were run.
      objective: what chose among them.
      best: the trial that won.
      winner: what it is worth with fresh seeds, a `verax.tune.Winner`, or None.
      facts: how the study was made.
    """

    trials: tuple[Any, ...]
    objective: str
    best: Any
    winner: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_study(path: Path) -> StudyOnDisk:
    """Returns the study in a file, also in one of Verax 0.4 or earlier.

    Raises:
      InputError: if it is missing or no study.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        objective = str(content["objective"] if "objective" in content else content["metric"])
        trials = tuple(_trial(number, each) for number, each in enumerate(content["trials"]))
        best = _trial(0, content["best"])
        winner = _winner(content["winner"]) if content.get("winner") else None
        return StudyOnDisk(trials, objective, best, winner, dict(content.get("facts", {})))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. Give the study.json that verax tune wrote.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__} {error}"
        raise InputError(f"{path} is no study: {found}. Give the study.json that verax tune wrote.") from error


def _trial(number: int, content: Mapping[str, Any]) -> Any:
    from verax.tune import Trial
    from verax.tune._task import read_setting

    return Trial(
        read_setting(content["hyperparameters"]),
        _finite(content["value"]),
        float(content["seconds"]),
        str(content["stop_reason"]),
        int(content.get("number", number)),
        content.get("state", "complete" if content["value"] is not None else "not finite"),
        tuple(map(_finite, content.get("values", ()))),
        {name: tuple(map(tuple, seeds)) for name, seeds in content.get("curves", {}).items()},
        int(content.get("parameters", 0)),
        str(content.get("task", "")),
    )


def _winner(content: Mapping[str, Any]) -> Any:
    from verax.tune import Winner

    return Winner(
        tuple(content["seeds"]),
        tuple(map(_finite, content["values"])),
        _over_lanes(content["value"]),
        _estimate(content["luck"]),
        {name: _over_lanes(each) for name, each in content["test"].items()},
        tuple(content["ties"]),
    )


def _over_lanes(content: Mapping[str, Any]) -> Any:
    from verax.train import LaneEstimate

    return LaneEstimate(_estimate(content), _finite(content["sd"]), int(content["lanes"]))


def _estimate(content: Mapping[str, Any]) -> Any:
    from verax.evaluate import Estimate

    low, high = content["low"], content["high"]
    return Estimate(_finite(content["value"]), -math.inf if low is None else low, math.inf if high is None else high)


def _finite(value: float | None) -> float:
    return math.nan if value is None else float(value)


def read_space(texts: Sequence[str], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the space that options such as `learning_rate=1e-3,1e-2` describe, each value of its parameter's type.

    Besides lists there are intervals: `log(1e-4,1e-1)`, `uniform(0,0.5)`, `int(1,4)`, `logint(16,256)`.

    Raises:
      InputError: if an option is malformed, names an unknown parameter, or a value has the wrong type.

    Example:
      >>> space = read_space(["hidden=64,128", "rate=0.5,1", "decay=log(1e-4,1)"], {"hidden": int, "rate": float})
      >>> space["hidden"], space["rate"], str(space["decay"])
      ([64, 128], [0.5, 1.0], 'log_uniform(0.0001, 1)')
    """
    space: dict[str, Any] = {}
    for name, text in pairs(texts, "space", "learning_rate=1e-3,1e-2"):
        name = name.replace("-", "_")
        if name in space:
            raise InputError(f"space names {name!r} twice. Give all its values at once: --space {name}=A,B.")
        values = _split(text)
        call = re.fullmatch(r"(\w+)\((.*)\)", text)
        if call and call[1] in INTERVALS:
            space[name] = _interval(name, text, call[1], _split(call[2]), kinds.get(name))
        else:
            space[name] = [_value(name, each, kinds.get(name, str)) for each in values]
    return space


def _interval(name: str, text: str, form: str, ends: Sequence[str], kind: Any) -> Any:
    """Returns the interval that a text such as `log(1e-4,1e-1)` means."""
    from verax import tune

    number, function = INTERVALS[form]
    options = _alternatives(kind) if kind is not None else (number,)
    if number not in options and not (number is int and float in options):
        wanted = " or ".join(getattr(option, "__name__", str(option)) for option in options)
        fitting = " or ".join(each for each, (its, _) in INTERVALS.items() if its in options) or "a list A,B,C"
        raise InputError(f"{name!r} must be {wanted}, got {text!r}, which gives {number.__name__}s. Give {fitting}.")
    if len(ends) != 2:
        raise InputError(f"{form}(LOW,HIGH) takes two numbers, got {text!r} for {name!r}.")
    try:
        low, high = (number(end) for end in ends)
    except ValueError:
        kind_of_end = "whole numbers" if number is int else "numbers"
        raise InputError(f"{form}(LOW,HIGH) takes two {kind_of_end}, got {text!r} for {name!r}.") from None
    try:
        return getattr(tune, function)(low, high, **({"log": True} if form == "logint" else {}))
    except InputError as error:
        raise InputError(f"--space {name}={text}: {error}") from None


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
    forms = f" Give {FORMS}." if "(" in text else ""
    raise InputError(f"the values of {name!r} must be {wanted}, got {text!r}.{forms}")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the types that a value may have, generic ones by their origin, text last: everything is text."""
    parts = typing.get_args(kind) if typing.get_origin(kind) not in (None, typing.Literal, tuple, list) else (kind,)
    plain = [part if typing.get_origin(part) in (None, typing.Literal) else typing.get_origin(part) for part in parts]
    return tuple(sorted(plain, key=lambda part: part is str))
