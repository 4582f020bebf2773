"""The user's file: run once a process, as long as it does not change."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load_experiment(file: Path) -> Callable[..., Any]:
    """Returns the function `experiment` of a Python file; the file is run when it is first asked for.

    Raises:
      InputError: if the file is missing, is not Python, or defines no such function.
    """
    from verax.train import read_source

    return _function(read_source(file))


@functools.lru_cache(maxsize=1)
def _function(source: Any) -> Callable[..., Any]:
    return source.function("experiment")
