"""The ledger of the test split: every time it was opened, by what and when."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LEDGER = "test_ledger.jsonl"


def open_test(folder: Path | None, purpose: str, data_fingerprint: str, *, before: Sequence[str] = ()) -> int:
    """Adds a line to the ledger and returns how often these data's test split has been opened there.

    This time is included. A line that cannot be read was an opening too: of which data is not known, so it counts.

    Args:
      folder: where the ledger is; None counts this opening, and those before it, alone.
      purpose: `evaluate`, `certify` or `tune`.
      data_fingerprint: of the data set.
      before: purposes of openings that are known from elsewhere; each is written too, unless the ledger has one.
    """
    if folder is None:
        return 1 + len(before)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LEDGER
    known = {(line.get("purpose"), line.get("data")) for line in map(_content, _lines(path))}
    for each in (*(each for each in before if (each, data_fingerprint) not in known), purpose):
        _add(path, each, data_fingerprint)
    return sum(_content(line).get("data") in (data_fingerprint, None) for line in _lines(path))


def _add(path: Path, purpose: str, data_fingerprint: str) -> None:
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    before = path.read_text(errors="replace") if path.exists() else ""
    with path.open("a") as file:
        file.write(
            "\n" * (before[-1:] not in ("", "\n"))
            + json.dumps({"purpose": purpose, "when": when, "data": data_fingerprint})
            + "\n"
        )


def _lines(path: Path) -> list[str]:
    text = path.read_text(errors="replace") if path.exists() else ""
    return [line for line in text.splitlines() if line.strip()]


def _content(line: str) -> dict[str, Any]:
    """Returns what a line of the ledger says, nothing if it is damaged."""
    try:
        content = json.loads(line)
        return content if isinstance(content, dict) else {}
    except ValueError:
        return {}
