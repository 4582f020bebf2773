"""What went wrong, on one screen: a message without a traceback, or the lines of the user's own file that led there."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from verax.findings import InputError

OURS = Path(__file__).parents[1]
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
LINES = 20  # of a message
FRAMES = 6  # of the user's own code


def explain(error: Exception) -> str | None:
    """Returns the text to print for an error; None for one that nobody has foreseen, which deserves its traceback."""
    message = _shortened(f"{error}".strip() or type(error).__name__)
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if isinstance(error, InputError):
        place = f" ({_place(theirs[-1])})" if theirs else ""
        return f"error: {message}{place}"
    if theirs:
        lines = "".join(traceback.format_list(theirs[-FRAMES:])).rstrip()
        return f"error in your own code:\n{lines}\n{type(error).__name__}: {message}"
    if isinstance(error, ValueError | TypeError | ImportError | OSError):
        return f"error: {message}"
    return None


def _is_users(filename: str) -> bool:
    """Returns whether a frame lies in a file of the user: not in Verax, a library, or generated code."""
    if filename.startswith("<"):
        return False
    return not str(Path(filename).resolve()).startswith((str(OURS), *LIBRARIES))


def _place(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}, line {frame.lineno}: {frame.line}"


def _shortened(message: str) -> str:
    lines = message.splitlines()
    more = len(lines) - LINES
    return "\n".join(lines[:LINES] + ([f"... {more} more lines; VERAX_TRACEBACK=1 shows them."] if more > 0 else []))
