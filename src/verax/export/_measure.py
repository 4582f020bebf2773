"""Measures a model folder in a process of its own, which has neither the model's source nor a network library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors.numpy import load_file, save_file

from verax.export._load import load
from verax.findings import InputError
from verax.trees import Tree

SOURCES = ("flax", "haiku", "equinox")  # what the fresh process must not have imported
# Settings of this process that change numbers or devices, where they were not made through the environment.
_CONFIG = ("jax_enable_x64", "jax_default_matmul_precision", "jax_platforms", "jax_cpu_enable_async_dispatch")
_TAIL = 2000  # characters of a failed process's last words that are shown


class Latency(NamedTuple):
    """Wall-clock seconds per call with one batch, warm: from arrays on the host until the outputs are ready.

    Attributes:
      batch_size: rows a call.
      calls: how many were timed.
      p50: half of the calls took no longer.
      p95: 95 % of them.
      p99: 99 % of them.
      examples_per_second: over all timed calls.
      program_bytes: of the compiled program: `argument`, `output`, `temp`, `generated_code`.
    """

    batch_size: int
    calls: int
    p50: float
    p95: float
    p99: float
    examples_per_second: float
    program_bytes: dict[str, int]


@dataclass(frozen=True, eq=False)
class FreshProcess:
    """What a fresh process found.

    Attributes:
      outputs: of the raw inputs, by path (`outputs`, `probabilities`), computed as one batch where the model allows.
      latencies: one for each batch size, in the order asked for; sizes beyond the largest exported one are left out.
      import_seconds: from the start of the process until JAX had found its devices.
      load_seconds: for reading and checking the folder and placing the weights.
      first_seconds: for the first outputs, compilation included.
      total_seconds: for the whole process, seen from outside.
      loaded_bytes: peak memory of the process once the model was loaded.
      peak_bytes: peak memory at its end.
      device: what it ran on.
      modules: names of all top-level modules that were imported.
    """

    outputs: dict[str, np.ndarray] = field(repr=False)
    latencies: tuple[Latency, ...]
    import_seconds: float
    load_seconds: float
    first_seconds: float
    total_seconds: float
    loaded_bytes: int
    peak_bytes: int
    device: str
    modules: tuple[str, ...] = field(repr=False)

    @property
    def program_bytes(self) -> int:
        """The most that one compiled program needs for arguments, outputs and temporaries; 0 if none was timed."""
        needs = [sum(each.program_bytes[name] for name in ("argument", "output", "temp")) for each in self.latencies]
        return max(needs, default=0)


def measure_in_fresh_process(
    path: str | Path,
    raw_inputs: Tree,
    *,
    batch_sizes: Sequence[int] = (1, 32, 256),
    calls: int = 200,
    seconds_per_size: float = 10.0,
    timeout: float = 300.0,
    without: Sequence[str] = (),
) -> FreshProcess:
    """Returns outputs, latency and memory of a model in a new interpreter.

    The process starts in an empty folder with this one's environment and JAX settings.

    Args:
      path: of the model folder.
      raw_inputs: raw rows, as `Exported.predict` takes them.
      batch_sizes: to time; none for the outputs alone.
      calls: to time for each size. The first size always gets all of them; the others at least 20 if time runs out.
      seconds_per_size: when time runs out.
      timeout: seconds after which the process is ended.
      without: further modules that must not be imported there, such as the one that defines the network.

    Raises:
      InputError: if the folder is no model, or the inputs do not fit it.
      RuntimeError: if the process fails, takes too long, or has imported a network library; with its last words.
    """
    if calls < 1 or any(size < 1 for size in batch_sizes):
        raise InputError(f"calls and batch_sizes must be at least 1, got {calls} and {tuple(batch_sizes)}.")
    folder = Path(path).expanduser().absolute()
    raw = load(folder).check(raw_inputs)
    if jax.tree.leaves(raw)[0].shape[0] == 0:
        raise InputError("raw_inputs must have at least one row, got none.")
    request = {
        "path": str(folder),
        "batch_sizes": list(batch_sizes),
        "calls": calls,
        "seconds_per_size": seconds_per_size,
        "started": time.time(),
        "config": {name: getattr(jax.config, name) for name in _CONFIG if getattr(jax.config, name, None) is not None},
    }
    with tempfile.TemporaryDirectory(prefix="verax-fresh-") as place:
        (Path(place) / "request.json").write_text(json.dumps(request))
        leaves = {str(index): leaf for index, leaf in enumerate(jax.tree.leaves(raw))}
        save_file(leaves, Path(place) / "inputs.safetensors")
        clock = time.perf_counter()
        _run(Path(place), folder, timeout)
        total_seconds = time.perf_counter() - clock
        result: dict[str, Any] = json.loads((Path(place) / "result.json").read_text())
        outputs = load_file(Path(place) / "outputs.safetensors")
    found = sorted({*SOURCES, *without} & set(result["modules"]))
    if found:
        raise RuntimeError(
            f"the fresh process must run without the model's source, but it imported {', '.join(found)}."
        )
    latencies = tuple(Latency(**latency) for latency in result.pop("latencies"))
    modules = tuple(result.pop("modules"))
    return FreshProcess(outputs=outputs, latencies=latencies, total_seconds=total_seconds, modules=modules, **result)


def _run(place: Path, folder: Path, timeout: float) -> None:
    command = [sys.executable, "-m", "verax.export._fresh", str(place)]
    empty = place / "empty"
    empty.mkdir()
    try:
        done = subprocess.run(
            command, cwd=empty, env=_environment(), capture_output=True, text=True, errors="replace", timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(
            f"measuring {folder} in a fresh process must end within {timeout:g} s, but it did not. Give it more "
            "time with timeout=, or fewer calls."
        ) from error
    if done.returncode != 0:
        raise RuntimeError(
            f"measuring {folder} in a fresh process must end with exit code 0, got {done.returncode}. Its last words:\n"
            f"{done.stderr.strip()[-_TAIL:] or '(none)'}"
        )


def _environment() -> dict[str, str]:
    """Returns this process's environment, with paths that hold from another folder too."""
    source = str(Path(__file__).parents[2])
    paths = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys([source, *paths]))}
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # this process may hold most of a GPU's memory
    return environment
