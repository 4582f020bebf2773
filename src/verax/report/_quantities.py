"""Names and numbers in words and units for people: `latency_seconds` 0.0012 is "latency", "1.2 ms"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

AS_WRITTEN = ("AUC", "CPU", "ECE", "F1", "Inf", "JAX", "JSON", "KS", "MAE", "NaN", "NLL", "PIT", "RMSE", "ROC")
WORDS = {word.lower(): word for word in AS_WRITTEN}
WORDS |= {"r2": "R²", "brier": "Brier score", "nonfinite": "non-finite"}
SHARES = re.compile(
    r"(^|_)(accuracy|coverage|covered|fraction|percentage|precision|rate_of|recall|share|f1|auc|baseline_accuracy)($|_)"
)
SECONDS, BYTES = re.compile(r"(^|_)seconds($|_)"), re.compile(r"(^|_)bytes($|_)")
RATE = re.compile(r"_per_second($|_)")
TIMES = ((1.0, 1, "s"), (1e-3, 1e3, "ms"), (1e-6, 1e6, "µs"), (0.0, 1e9, "ns"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0.0, "bytes"))
LISTED = 8


def label(name: str) -> str:
    """Returns a name in words, without the unit that its number carries.

    Example:
      >>> label("p95_seconds"), label("load_seconds"), label("macro_f1"), label("params/dense/kernel")
      ('p95', 'load time', 'macro F1', 'params/dense/kernel')
    """
    if "/" in name:
        return name
    bare = BYTES.sub(r"\2", SECONDS.sub(r"\2", name)) if not RATE.search(name) else name
    words = [WORDS.get(word, word) for word in (bare or name).strip("_").split("_")]
    if bare != name and SECONDS.search(name) and not re.fullmatch(r"p\d+|latency|time|seconds", words[-1]):
        words.append("time")
    return " ".join(words)


def quantity(name: str, value: Any) -> str:
    """Returns a value in the unit that its name tells: time, memory, a share in per cent, or a plain number.

    Example:
      >>> quantity("p95_seconds", 0.00123), quantity("peak_bytes", 3_500_000), quantity("accuracy", 0.9778)
      ('1.23 ms', '3.5 MB', '97.8 %')
      >>> quantity("accuracy", {"value": 0.9778, "low": 0.96, "high": 0.987})
      '97.8 % (96.0 % to 98.7 %)'
      >>> quantity("error", float("nan")), quantity("rows", 12000), quantity("exact", True)
      ('NaN', '12,000', 'yes')
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if is_interval(value):
        value, low, high = (quantity(name, number) for number in interval(value))
        return f"{value} ({low} to {high})"
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, list | tuple | set | frozenset):
        shown = ", ".join(quantity(name, each) for each in list(value)[:LISTED])
        return shown + (f", … ({len(value)} in all)" if len(value) > LISTED else "") if value else "none"
    return str(value)


def rows(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str, str]]:
    """Yields a key, a label and a text for each value; of tables within tables, the names are joined."""
    for name, value in values.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and not is_interval(value):
            yield from rows(value, f"{key}.")
        else:
            yield (
                key,
                " · ".join(label(part) for part in key.split(".")) if above else label(name),
                quantity(key, value),
            )


def sentence_case(text: str) -> str:
    """Returns a sentence that begins with a capital letter, unless its first word is a name from code."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+([ ,;:]|[.] |$)", text) else text


def is_interval(value: Any) -> bool:
    """Returns whether a value is an `Estimate`, or one that went through JSON."""
    names = value.keys() if isinstance(value, Mapping) else getattr(value, "_fields", ())
    return set(names) == {"value", "low", "high"}


def interval(value: Any) -> tuple[Any, Any, Any]:
    """Returns value, low and high of what `is_interval` accepts."""
    fields = value if isinstance(value, Mapping) else value._asdict()
    return fields["value"], fields["low"], fields["high"]


def _number(name: str, value: int | float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if RATE.search(name):
        return f"{value:,.0f} per s" if abs(value) >= 100 else f"{value:.3g} per s"
    if SECONDS.search(name):
        return _time(value)
    if BYTES.search(name):
        return _size(value)
    if SHARES.search(name) and 0 <= value <= 1 and not isinstance(value, int):
        return f"{100 * value:.1f} %"
    if isinstance(value, int) or (value == round(value) and 1000 <= abs(value) < 1e15):
        return f"{value:,.0f}".replace("-", "−")
    return re.sub(r"e([+-])0*", r"e\1", f"{value:.4g}").replace("e+", "e").replace("-", "−")


def _time(seconds: int | float) -> str:
    if abs(seconds) >= 120:
        return f"{seconds / 60:.1f} min"
    factor, unit = next((factor, unit) for least, factor, unit in TIMES if abs(seconds) >= least)
    return f"{seconds * factor:.3g} {unit}"


def _size(size: int | float) -> str:
    least, unit = next(each for each in SIZES if abs(size) >= each[0])
    return f"{size / (least or 1):,.3g} {unit}" if size < 1e12 else f"{size / 1e9:,.0f} GB"
