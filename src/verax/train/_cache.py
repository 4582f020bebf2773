"""The persistent compilation cache: on for runs, unless the user has chosen otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def enable_compilation_cache() -> None:
    """Keeps compiled programs between processes, in `VERAX_CACHE` or the user's cache folder.

    Does nothing where a cache folder is configured already, or `VERAX_CACHE` is `off`. Programs of any compilation time
    are kept: on small networks the many short compilations are what a second start waits for.
    """
    chosen = os.environ.get("VERAX_CACHE", "")
    if jax.config.values["jax_compilation_cache_dir"] or chosen == "off":
        return
    folder = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "verax"
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
