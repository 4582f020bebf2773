"""The ledger of the test split: every time it was opened, by what and when."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

LEDGER = "test_ledger.jsonl"


def open_test(folder: Path | None, purpose: str, data_fingerprint: str) -> int:
    """Adds a line to the ledger and returns how often these data's test split has been opened there.

    This time is included. A line that cannot be read was an opening too: of which data is not known, so it counts.

    Args:
      folder: where the ledger is; None counts this opening alone.
      purpose: `evaluate` or `certify`.
      data_fingerprint: of the data set.
    """
    if folder is None:
        return 1
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LEDGER
    before = path.read_text(errors="replace") if path.exists() else ""
    with path.open("a") as file:
        file.write(
            "\n" * (before[-1:] not in ("", "\n"))
            + json.dumps({"purpose": purpose, "when": when, "data": data_fingerprint})
            + "\n"
        )
    return sum(
        _data(line) in (data_fingerprint, None)
        for line in path.read_text(errors="replace").splitlines()
        if line.strip()
    )


def _data(line: str) -> str | None:
    """Returns the fingerprint in a line of the ledger, None if the line is damaged."""
    try:
        return str(json.loads(line)["data"])
    except (ValueError, KeyError, TypeError):
        return None
