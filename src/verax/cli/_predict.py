"""`verax predict`: what an exported model makes of raw rows; nothing of the user's is run."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verax.cli._runs import expect, write_text
from verax.cli._say import console, say, say_json, table, waiting
from verax.findings import InputError

ON_A_SCREEN = 50  # rows
LIKELIEST = 3  # classes, where there are more than fit beside one another


def predict(model: Path, rows: Path, /, *, out: Path | None = None, json: bool = False) -> int:
    """Predicts raw rows: names of classes with their probabilities, or numbers.

    Args:
      model: a model.vx, or a run folder that holds one.
      rows: a .csv, .json, .jsonl, .npy or .npz file, or a picture.
      out: a .csv file to write.
      json: prints the predictions as JSON on stdout.
    """
    if out is not None and out.exists():
        raise InputError(f"{out} exists already. Choose another file with --out.")
    if expect(model, "run", "model") == "run":
        if not (model / "model.vx").exists():
            raise InputError(f"{model} holds no exported model yet. Run: verax export {model}")
        model = model / "model.vx"
    from verax.export import load, read_rows

    with waiting("loading the model"):
        loaded = load(model)
    predictions = loaded.predict_rows(read_rows(rows, loaded.schema))
    if out is not None:
        write_text(out, _as_csv(predictions))
        say(f"{len(predictions):,} predictions: {out}", to_stderr=json)
    if json:
        say_json([_as_dict(row, each) for row, each in enumerate(predictions)])
    elif out is None:
        _print(predictions, loaded.schema.target)
    return 0


def _as_dict(row: int, prediction: Any) -> dict[str, Any]:
    shown = {"row": row, "prediction": prediction.value}
    further = {"probabilities": prediction.probabilities, "std": prediction.std}
    return {**shown, **{name: value for name, value in further.items() if value is not None}}


def _as_csv(predictions: Sequence[Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    if not predictions:
        writer.writerow(["row", "prediction"])
        return text.getvalue()
    first = predictions[0]
    std = [] if first.std is None else _numbered("std", _cells(first.std))
    names = [f"probability of {name}" for name in first.probabilities or ()]
    writer.writerow(["row", *_numbered("prediction", _values(first)), *std, *names])
    for row, each in enumerate(predictions):
        spread = [] if each.std is None else _cells(each.std)
        writer.writerow([row, *_values(each), *spread, *(each.probabilities or {}).values()])
    return text.getvalue()


def _values(prediction: Any) -> list[Any]:
    """Returns the value of a prediction as cells; labels that are there share one."""
    if isinstance(prediction.value, tuple) and prediction.probabilities is not None:
        return ["; ".join(prediction.value)]
    return _cells(prediction.value)


def _cells(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [cell for each in value for cell in _cells(each)]
    return [value]


def _numbered(name: str, cells: Sequence[Any]) -> list[str]:
    return [name] if len(cells) == 1 else [f"{name} {number}" for number in range(1, len(cells) + 1)]


def _print(predictions: Sequence[Any], target: str) -> None:
    shown = predictions[:ON_A_SCREEN] if sys.stdout.isatty() else predictions
    rows = [
        (row, _text(each.value), *_spread(each.std), *_probabilities(each.probabilities))
        for row, each in enumerate(shown)
    ]
    beside = "std" if shown and shown[0].std is not None else "probabilities"
    columns = ("row", target, beside)[: len(rows[0]) if rows else 2]
    console().print(table(columns, rows, numbers=("row",)))
    if len(shown) < len(predictions):
        say(f"... and {len(predictions) - len(shown):,} more; --out predictions.csv or --json gives all.")


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_text(each) for each in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _spread(std: Any) -> tuple[str, ...]:
    return () if std is None else (_text(std),)


def _probabilities(probabilities: dict[str, float] | None) -> tuple[str, ...]:
    if probabilities is None:
        return ()
    likeliest = sorted(probabilities.items(), key=lambda pair: -pair[1])[:LIKELIEST]
    return ("  ".join(f"{name} {share:.4f}" for name, share in likeliest),)
