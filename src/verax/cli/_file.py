"""The user's file: run once a process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any


@functools.lru_cache(maxsize=1)
def load_experiment(file: Path) -> Callable[..., Any]:
    """Returns the function `experiment` of a Python file; the file is run when it is first asked for.

    Raises:
      InputError: if the file is missing, is not Python, or defines no such function.
    """
    from verax.train import read_source

    return read_source(file).function("experiment")
