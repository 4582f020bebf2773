"""`verax profile`: where the time of an experiment's training step goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verax.cli._file import load_experiment
from verax.cli._say import say, say_json, waiting
from verax.cli._train import given


def profile(
    file: Path,
    /,
    *,
    out: Path | None = None,
    trace_steps: int | None = None,
    batch_sizes: tuple[int, ...] | None = None,
    json: bool = False,
    **hyperparameters: Any,
) -> int:
    """Says where the time of an experiment's training step goes, and which batch size is efficient on this machine.

    Operations by their own time, compilation, waiting for input, memory, and arithmetic against what this machine was
    measured to do. Nothing that is trained is kept. Exits with 1 if something is to be mended, such as a call of Python
    from the step.

    Args:
      file: the Python file that defines experiment(...).
      out: a folder for the trace of JAX's profiler, for TensorBoard and Perfetto; nothing is written if not given.
      trace_steps: steps to trace; 20, or fewer where a step takes long, if not given.
      batch_sizes: to compare with the experiment's own; half, twice and four times it if not given.
      json: prints the profile as JSON on stdout.
      **hyperparameters: for the experiment.
    """
    experiment = load_experiment(file)
    from verax.debug import profile as measure

    with waiting("measuring"):
        found = measure(experiment, out=out, trace_steps=trace_steps, batch_sizes=batch_sizes, **given(hyperparameters))
    if json:
        say_json(found.to_json())
    else:
        say(str(found))
        if found.trace is not None:
            say("to see it: open the trace at https://ui.perfetto.dev, or tensorboard --logdir " + str(out))
    return int(any(finding.severity != "info" for finding in found.findings))
