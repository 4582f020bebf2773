"""The linter as a plugin of flake8: `flake8` shows the same reports, with the settings of the project."""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from verax import __version__
from verax.lint._check import SYNTAX
from verax.lint._engine import check_data
from verax.lint._project import Project
from verax.lint._settings import Settings, settings_for


class Plugin:
    """What flake8 asks for each file.

    Args:
      tree: the file, parsed; the linter parses the text itself.
      lines: of the file.
      filename: its name.
    """

    name = "verax"
    version = __version__

    def __init__(self, tree: ast.AST, lines: Sequence[str], filename: str = "stdin"):
        self.lines, self.file = lines, filename

    def run(self) -> Iterator[tuple[int, int, str, type[Any]]]:
        """Yields line, column, code and message of each report, and of each rule that raised."""
        file = self.file if self.file not in ("-", "stdin") else "stdin.py"
        settings, project = _settings(os.path.dirname(os.path.abspath(file)))
        data = "".join(self.lines).encode(errors="surrogateescape")
        outcome = check_data(data, file, settings, settings.rules(), project)
        for each in outcome.reports:
            if each.code != SYNTAX:  # flake8 has a code of its own for these
                yield each.line, each.column - 1, f"{each.code} {each.message}", type(self)
        for code, said in outcome.broken.items():
            yield 1, 0, f"VX000 the rule {code} of Verax raised: {said}", type(self)


@functools.lru_cache(maxsize=64)
def _settings(folder: str) -> tuple[Settings, Project]:
    settings = settings_for([Path(folder)])
    return settings, Project(settings.root)
