"""How often Python looks for cycles of objects while files are checked."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 500_000  # more of them than there were, after which cycles are looked for


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Lets Python look for cycles of objects seldom: syntax trees are made of many, and none is part of one.

    A third of the time would go there. What is done with is let go of as it is (`Module.forget`), so that little waits.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], OBJECTS) if before[0] else 0, 4, 4)
    try:
        yield
    finally:
        gc.set_threshold(*before)
