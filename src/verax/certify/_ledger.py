"""The ledger of the test split: every time it was opened, by what and when."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

LEDGER = "test_ledger.jsonl"


def open_test(folder: Path | None, purpose: str, data_fingerprint: str) -> int:
    """Adds a line to the ledger and returns how often these data's test split has been opened there, this time included.

    Args:
      folder: where the ledger is; None counts this opening alone.
      purpose: `evaluate` or `certify`.
      data_fingerprint: of the data set.
    """
    if folder is None:
        return 1
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LEDGER).open("a") as file:
        file.write(json.dumps({"purpose": purpose, "when": when, "data": data_fingerprint}) + "\n")
    entries = (json.loads(line) for line in (folder / LEDGER).read_text().splitlines() if line.strip())
    return sum(entry["data"] == data_fingerprint for entry in entries)
