"""What went wrong, on one screen: a message without a traceback, or the lines of the user's own file that led there."""

from __future__ import annotations

import traceback
from pathlib import Path

from verax.findings import InputError, user_frames

LINES = 20  # of a message
FRAMES = 6  # of the user's own code


def explain(error: Exception) -> str | None:
    """Returns the text to print for an error; None for one that nobody has foreseen, which deserves its traceback."""
    message = _shortened(f"{error}".strip() or type(error).__name__)
    theirs = user_frames(error)
    if isinstance(error, InputError):
        place = f"\n  at {_place(theirs[-1])}" if theirs else ""
        return f"error: {message}{place}"
    if theirs:
        lines = "".join(traceback.format_list(theirs[-FRAMES:])).rstrip()
        return f"error in your own code:\n{lines}\n{type(error).__name__}: {message}"
    if isinstance(error, ValueError | TypeError | ImportError | OSError):
        return f"error: {message}"
    return None


def _place(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}, line {frame.lineno}: {frame.line}"


def _shortened(message: str) -> str:
    lines = message.splitlines()
    more = len(lines) - LINES
    return "\n".join(lines[:LINES] + ([f"... {more} more lines; VERAX_TRACEBACK=1 shows them."] if more > 0 else []))
