"""Where the time of a training step goes, and what could make it faster: `vx.profile`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from verax.debug._profile_batches import batch_size_advice, measure_batch_sizes
from verax.debug._profile_cost import flops, measure_machine
from verax.debug._profile_experiment import experiment_subject
from verax.debug._profile_function import function_subject
from verax.debug._profile_result import Profile
from verax.debug._profile_subject import Subject, peak_memory
from verax.debug._profile_time import Spread, seconds_per_step, spread
from verax.debug._profile_trace import Operation, record_trace, top_operations
from verax.findings import Finding, InputError, Moment, Span
from verax.train import Experiment

TRACED_STEPS, TRACED_SECONDS = 20, 2.0  # a trace of more steps says the same, and grows large
WAIT, WAIT_SURE = 0.10, 0.05  # share of the time spent waiting for input: the median, and its lower quartile
CALLBACKS = ("pure_callback", "io_callback", "debug_callback")
CALLBACK_SHARE = 0.10  # of the operations' time


def profile(
    subject: Any,
    *args: Any,
    batches: Iterable[Any] | None = None,
    out: str | Path | None = None,
    trace_steps: int | None = None,
    batch_sizes: Sequence[int] | None = None,
    **hyperparameters: Any,
) -> Profile:
    """Returns where the time of a training step goes: operations, compilation, input, memory, and against the machine.

    Takes an experiment, as `vx.train` does, or anyone's step with its arguments: `profile(step, params, opt_state,
    batch)`. With `batches`, the step's last argument comes from there, as in the loop it is used in, and what it
    returns first (`params, opt_state, ...`) goes into the next step. Nothing that is trained is kept.

    Each time is a median of repeated measurements, with quartiles. Compilation is measured without JAX's cache on disk.

    Args:
      subject: an experiment, the function that makes one, or a function of trees of arrays.
      *args: of the function, without the batch if `batches` are given; none for an experiment.
      batches: what the function's loop iterates over; needed to measure its wait for input.
      out: a folder for JAX's trace, for TensorBoard and Perfetto; nothing is written if not given.
      trace_steps: steps to trace; 20, or fewer where a step takes long, if not given.
      batch_sizes: to compare with the current one; half, twice and four times it if not given, none if empty.
      **hyperparameters: for the function that makes an experiment.

    Raises:
      InputError: if what is given is neither an experiment nor a function that takes the arguments.

    Example:
      >>> profile = vx.profile(lambda x: jnp.sort(x @ x), jnp.ones((64, 64)))
      >>> sorted(row.origin.operation for row in profile.operations[:2])
      ['dot_general', 'sort']
    """
    if trace_steps is not None and trace_steps < 1:
        raise InputError(f"trace_steps must be at least 1, got {trace_steps}.")
    if any(isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1 for size in batch_sizes or ()):
        raise InputError(f"batch_sizes must be whole numbers of at least 1, got {batch_sizes!r}.")
    if isinstance(subject, Experiment) or not (args or batches is not None):
        if args:
            raise InputError("an experiment takes hyperparameters by name, and no other arguments.")
        measured = experiment_subject(subject, hyperparameters)
    else:
        if hyperparameters:
            raise InputError(f"{', '.join(hyperparameters)}: arguments of a function must be given by position.")
        measured = function_subject(subject, args, batches)
    return _measured(measured, None if out is None else Path(out), trace_steps, batch_sizes)


def _measured(subject: Subject, out: Path | None, trace_steps: int | None, sizes: Sequence[int] | None) -> Profile:
    tasks = {"device": subject.run} | ({} if subject.loop is None else {"loop": subject.loop})
    seconds = seconds_per_step(tasks)
    step = spread(seconds["device"])
    wait = spread(1 - seconds["device"] / seconds["loop"]) if "loop" in seconds else None
    operations, busy, trace = _traced(subject, step, out, trace_steps)
    counted, unknown_loops = flops(subject.step)
    machine = measure_machine()
    rows = measure_batch_sizes(subject, sizes)
    device = jax.devices()[0]
    return Profile(
        name=subject.name,
        device=f"{device.platform}: {device.device_kind}",
        operations=operations,
        operation_seconds=busy,
        programs=subject.programs,
        step_seconds=step,
        loop_seconds=spread(seconds["loop"]) if "loop" in seconds else None,
        input_wait=wait,
        flops=counted,
        flops_are_a_lower_bound=unknown_loops,
        bytes=subject.step_bytes,
        machine=machine,
        memory={**subject.memory, **peak_memory()},
        batch_size=subject.batch_size,
        batch_sizes=rows,
        advice=batch_size_advice(subject.batch_size or 0, rows) if rows else "",
        findings=(*_waits(wait, subject.is_on_device), *_callbacks(operations)),
        trace=trace,
    )


def _traced(
    subject: Subject, step: Spread, out: Path | None, steps: int | None
) -> tuple[tuple[Operation, ...], float, Path | None]:
    """Returns the operations, their seconds a step, and the trace if it is kept."""
    steps = steps or int(np.clip(TRACED_SECONDS / step.median, 1, TRACED_STEPS))
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) if out is None else out
        written = record_trace(lambda: subject.run(steps), kept)
        operations, busy = top_operations(written, subject.text, steps)
    return operations, busy, None if out is None else written


def _waits(wait: Spread | None, is_on_device: bool) -> list[Finding]:
    if wait is None or wait.median < WAIT or wait.low < WAIT_SURE:
        return []
    said = f"the device waits for the host {wait.median:.0%} of the time ({wait.low:.0%} to {wait.high:.0%})."
    if is_on_device:  # the data are: there is no loader to mend
        advice = "Epochs are short beside the host's work for each: the next order, the records. Longer ones lose less."
        return [Finding("input-wait", "info", said, advice)]
    advice = (
        "Prepare batches ahead of the step (a thread or processes that load, a queue), do less work on the host for "
        "each batch, or keep data that fit on the device."
    )
    return [Finding("input-wait", "warning", said, advice)]


def _callbacks(operations: Sequence[Operation]) -> list[Finding]:
    found = []
    for row in operations:
        if row.origin.operation in CALLBACKS and row.share >= CALLBACK_SHARE:
            said = f"a call of Python from the compiled step takes {row.share:.0%} of the operations' time."
            advice = "Write it in JAX, or call it outside of the step."
            place: Span | Moment | None = row.origin.span
            found.append(Finding("slow-callback", "warning", said, advice, place))
    return found
