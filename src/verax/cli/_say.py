"""What commands print: plain lines on stdout, remarks on stderr, tables and live lines through Rich."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from verax.findings import Finding

WIDTH = 110  # of tables that are piped


def console(to_stderr: bool = False) -> Any:
    """Returns a Rich console; piped output is wide enough for tables."""
    from rich.console import Console

    made = Console(stderr=to_stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=to_stderr, highlight=False, width=max(WIDTH, made.width))


def say(text: str = "", *, to_stderr: bool = False) -> None:
    """Prints a line at once: a reader at the other end of a pipe is waiting for it."""
    print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)


def say_json(value: Any) -> None:
    """Prints a value as JSON, numbers that are not finite as null."""
    say(json.dumps(plain(value), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def say_findings(findings: Iterable[Finding]) -> bool:
    """Prints warnings and errors on stderr, in full, and returns whether there was an error."""
    findings = list(findings)
    for finding in findings:
        if finding.severity != "info":
            say(f"{finding.severity}: {finding}", to_stderr=True)
    return any(finding.severity == "error" for finding in findings)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", numbers: Sequence[str] = ()
) -> Any:
    """Returns a Rich table; columns named in `numbers` are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    look = {"title_justify": "left", "title_style": "bold", "box": box.SIMPLE_HEAD, "show_edge": False}
    drawn = Table(title=title or None, pad_edge=False, **look)  # type: ignore[arg-type]
    for name in columns:
        drawn.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    return drawn


def metrics_table(metrics: Mapping[str, Any], title: str) -> Any:
    """Returns a table of estimates, `(value, low, high)` by name."""
    rows = [(name, *(f"{number:.4f}" for number in estimate)) for name, estimate in metrics.items()]
    return table(("metric", "value", "95 % from", "to"), rows, title=title, numbers=("value", "95 % from", "to"))


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows what is going on while it lasts, on a terminal; nothing where output is piped."""
    if not sys.stderr.isatty():
        yield
        return
    with console(to_stderr=True).status(text):
        yield


def seconds_text(seconds: float) -> str:
    """Returns a duration: `7 s`, `1:05`, `2:00:00`.

    Example:
      >>> seconds_text(7.2), seconds_text(65.0), seconds_text(7200.0)
      ('7 s', '1:05', '2:00:00')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
