"""Figures as PNG files."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from verax.plot._canvas import Axes, Figure, without_glyph_warnings

NAME = re.compile(r"\w[\w.-]*")


def save_figures(figures: Mapping[str, Figure | Axes], folder: str | os.PathLike[str]) -> list[Path]:
    """Writes each figure as `folder/NAME.png` at 300 dots per inch and returns the paths.

    All are drawn before the first is written, and each file appears whole or not at all.

    Args:
      figures: figures, or axes of them, by name.
      folder: where to; made if it is not there.

    Raises:
      ValueError: if a name is no plain file name.
    """
    for name in figures:
        if not NAME.fullmatch(name):
            raise ValueError(f"a figure's name must be letters, digits, '_', '-' and '.', got {name!r}.")
    drawn = {name: _drawn(figure) for name, figure in figures.items()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [write_whole(folder / f"{name}.png", content) for name, content in drawn.items()]


def _drawn(figure: Figure | Axes) -> bytes:
    content = io.BytesIO()
    with without_glyph_warnings():
        (getattr(figure, "figure", None) or figure).savefig(content, format="png", dpi=300, metadata={"Software": None})
    return content.getvalue()


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file that appears whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
