"""Settings of JAX that hold in one thread, carried to others: `with jax.numpy_dtype_promotion(...)` and its like."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

Settings = list[tuple[Any, Any]]


def settings_of_this_thread() -> Settings:
    """Returns what context managers of JAX have set in this thread, without what is set for all threads.

    JAX has no public list of its settings; where this one is gone, nothing is carried.
    """
    try:
        from jax._src import config

        states = list(config.config_states.values())
        unset = config.config_ext.unset
        return [(state, value) for state in states if (value := state.get_local()) is not unset]
    except (ImportError, AttributeError):
        return []


def with_settings(settings: Settings, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Returns what a function returns under the settings of another thread."""
    with contextlib.ExitStack() as stack:
        for state, value in settings:
            stack.enter_context(state(value))
        return function(*args, **kwargs)
