"""Sources whose comments say what a linter must report, judged as `benchmarks/lintbench.py` does."""

import sys
from collections.abc import Iterable
from pathlib import Path

from verax.lint._report import Report

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
try:
    from _lintbench_score import Judged, Score, expected, judged, marks, spans
finally:
    sys.path.remove(BENCHMARKS)

__all__ = ["Judged", "Score", "expected", "judged", "marks", "said", "spans"]


def said(reports: Iterable[Report]) -> list[tuple[int, str]]:
    """Returns reports as lines and codes."""
    return [(each.line, each.code) for each in reports]
