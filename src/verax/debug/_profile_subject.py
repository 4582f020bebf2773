"""What is profiled, whatever it is: steps that can be run on the device alone and as their loop runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import psutil
from jax.extend.core import ClosedJaxpr

from verax.debug._profile_compile import ProgramTime
from verax.train import process_peak_bytes


class Resized(NamedTuple):
    """A step at another batch size: how to run some, and the memory that the program needs, in bytes."""

    run: Callable[[int], object]
    program_bytes: int


class Subject(NamedTuple):
    """Steps that can be measured.

    Attributes:
      name: for the title.
      text: of the compiled program, `compiled.as_text()`.
      programs: what was compiled, and how long it took.
      run: takes a number of steps on the device with data that lie there, and waits for them.
      loop: the same as their loop does it, with the host's work; None if there is no loop to measure.
      step: the program of one step, for counting its operations.
      step_bytes: bytes that one step reads and writes, as XLA counts them in the compiled program.
      memory: of the compiled program, in bytes, by kind.
      is_on_device: whether the loop's data lie on the device, so that it loads nothing.
      batch_size: examples a step; None if not known.
      multiple: batch sizes must be multiples of it.
      most_examples: the largest batch size that there are data for.
      resized: makes the step at another batch size; None if not known how.
    """

    name: str
    text: str
    programs: tuple[ProgramTime, ...]
    run: Callable[[int], object]
    loop: Callable[[int], object] | None
    step: ClosedJaxpr
    step_bytes: float
    memory: dict[str, int]
    is_on_device: bool = False
    batch_size: int | None = None
    multiple: int = 1
    most_examples: int | None = None
    resized: Callable[[int], Resized] | None = None


def bytes_accessed(compiled: Any) -> float:
    """Returns the bytes that a compiled program reads and writes, as XLA counts them."""
    analysis = compiled.cost_analysis()
    return float((analysis or {}).get("bytes accessed", 0.0))


def free_bytes() -> int:
    """Returns the memory that the first device has left; that of the machine for a CPU."""
    device = jax.devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if statistics and "bytes_limit" in statistics:
        return int(statistics["bytes_limit"] - statistics.get("bytes_in_use", 0))
    return int(psutil.virtual_memory().available)


def peak_memory() -> dict[str, int]:
    """Returns the most memory that this process, and its first device, have held, in bytes."""
    device = jax.devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    device_peak = {"device_peak_bytes": int(statistics["peak_bytes_in_use"])} if statistics else {}
    return {"process_peak_bytes": process_peak_bytes(), **device_peak}
