"""What watching every parameter leaf costs: `vx.monitor` in a loop of one's own, and Verax's own loop once a chunk.

    python benchmarks/monitor.py                    # both tables, about five minutes on two quiet cores
    python benchmarks/monitor.py --rounds 3 --only mlp128 --json rows.json

In a loop of one's own, a step is one call of a jitted function that donates parameters and optimizer state, as in a
textbook loop: Adam with `vx.monitor` against Adam alone, by the interval between two looks. Verax's own loop is its
compiled chunk with the statistics of the last step, against the same chunk without. Each turn with is timed between two
turns without, and the ratio is that to their mean; the table has the median over rounds and the quartiles. On a busy
machine the time that the processor spends on this process says more than that on the clock: the table has both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import verax as vx
from verax.train import Program, prepare, run_chunk

sys.path.insert(0, str(Path(__file__).parent / "_peers"))
import _linen
import _task

INTERVALS = (1, 10, 25, 100, 1000)
LOOPS = {"mlp128": ((128, 64), 128, 400), "mlp512-wide": ((512, 256), 512, 60)}  # widths, batch, steps a turn
TASKS = ("mlp32", "mlp128", "cnn128", "resnet64", "gpt12")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="turns with a monitor, of each row (default: 9)")
    parser.add_argument("--only", help=f"of {','.join(dict.fromkeys((*LOOPS, *TASKS)))} (default: all)")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    options = parser.parse_args(arguments)
    chosen = [*LOOPS, *TASKS] if options.only is None else options.only.split(",")
    if options.rounds < 1 or not {*chosen} <= {*LOOPS, *TASKS}:
        parser.error(f"--rounds must be at least 1 and --only of {', '.join(dict.fromkeys((*LOOPS, *TASKS)))}.")
    rows = []
    for name in dict.fromkeys(chosen):
        if name in LOOPS:
            rows += loop_rows(name, options.rounds)
        if name in TASKS:
            rows.append(chunk_row(name, options.rounds))
        print(f"measured {name}", file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def loop_rows(name: str, rounds: int) -> list[dict[str, Any]]:
    """Returns a row for each interval, of a textbook loop."""
    widths, batch, steps = LOOPS[name]
    plain = textbook_turn(optax.adam(1e-3), widths, batch, steps)
    plain()
    rows = []
    for every in INTERVALS:
        watched = textbook_turn(vx.monitor(optax.adam(1e-3), every=every), widths, batch, steps)
        watched()
        rows.append({"loop": "own", "name": name, "every": every, **compared(plain, watched, rounds, steps)})
    return rows


def textbook_turn(
    optimizer: optax.GradientTransformation, widths: Sequence[int], batch: int, steps: int
) -> Callable[[], None]:
    """Returns a function that takes some steps, one dispatch each, of a multilayer perceptron on random rows."""
    sizes = (784, *widths, 10)
    random = np.random.default_rng(0)
    inputs, labels = jnp.asarray(random.random((batch, 784), np.float32)), jnp.asarray(random.integers(0, 10, batch))

    def loss(params: Any) -> Any:
        hidden = inputs
        for place, layer in enumerate(params):
            hidden = hidden @ layer["kernel"] + layer["bias"]
            hidden = jax.nn.relu(hidden) if place < len(params) - 1 else hidden
        return optax.softmax_cross_entropy_with_integer_labels(hidden, labels).mean()

    def step(params: Any, opt_state: Any) -> tuple[Any, Any]:
        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params = [
        {"kernel": jnp.asarray(random.normal(size=(a, b)) / a**0.5, jnp.float32), "bias": jnp.zeros(b)}
        for a, b in itertools.pairwise(sizes)
    ]
    carry = params, optimizer.init(params)
    compiled = jax.jit(step, donate_argnums=(0, 1))

    def turn() -> None:
        nonlocal carry
        for _ in range(steps):
            carry = compiled(*carry)
        jax.block_until_ready(carry)

    return turn


def chunk_row(name: str, rounds: int) -> dict[str, Any]:
    """Returns the row of Verax's own loop on one of the tasks of `training.py`."""
    task = _task.TASKS[name]
    objective = vx.language_model() if task.network == "gpt" else vx.classification()
    data = {"train": _task.data(task)}
    session = prepare(
        vx.Experiment(_linen.network(task), objective, optax.adam(1e-3), data, batch_size=task.batch_size, epochs=1)
    )
    epoch, _ = session.epoch_data(0)
    turns, seconds = [], []
    for watched in (False, True):
        clock = time.perf_counter()
        turns.append(chunk_turn(replace(session.program, leaf_statistics=watched), session.state, epoch))
        seconds.append(time.perf_counter() - clock)
        turns[-1]()
    steps = session.program.chunk_steps
    measured = compared(turns[0], turns[1], rounds, steps)
    return {"loop": "verax", "name": name, "every": steps, "compile_seconds": seconds, **measured}


def chunk_turn(program: Program, state: Any, epoch: Any) -> Callable[[], None]:
    """Returns a function that runs one chunk of steps, compiled."""

    def chunk(state: Any, epoch: Any, steps: Any) -> Any:
        return run_chunk(program, {}, state, epoch, steps)

    compiled = jax.jit(chunk).lower(state, epoch, np.int32(0)).compile()
    return lambda: jax.block_until_ready(compiled(state, epoch, np.int32(program.chunk_steps)))


def compared(plain: Callable[[], Any], watched: Callable[[], Any], rounds: int, steps: int) -> dict[str, Any]:
    """Returns how much longer the watched turns take, and how long a step is without."""
    ratios, seconds = [], []
    for _ in range(rounds):
        before, between, after = seconds_of(plain), seconds_of(watched), seconds_of(plain)
        ratios.append(2 * between / (before + after))
        seconds += [before[0], after[0]]
    made: dict[str, Any] = {"rounds": rounds, "step_seconds": statistics.median(seconds) / steps}
    for name, each in zip(("", "processor_"), np.array(ratios).T, strict=True):
        low, median, high = np.quantile(each, [0.25, 0.5, 0.75]).tolist()
        made |= {f"{name}ratio_median": median, f"{name}ratio_low": low, f"{name}ratio_high": high}
    return made


def seconds_of(turn: Callable[[], Any]) -> np.ndarray:
    """Returns how long a turn takes: on the clock, and of the processors' time."""
    clock = np.array([time.perf_counter(), time.process_time()])
    turn()
    return np.array([time.perf_counter(), time.process_time()]) - clock


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as a Markdown table."""
    titles = {"own": "`vx.monitor` in a loop of one's own", "verax": "Verax's own loop, once a chunk"}
    lines = [
        "| | steps from look to look | ms a step without | longer by (median; quartiles) | processor time |",
        "|---|---:|---:|---|---|",
    ]
    for row in rows:
        cells = [f"{titles[row['loop']]}: {row['name']}", f"{row['every']}", f"{1e3 * row['step_seconds']:.3g}"]
        for name in ("", "processor_"):
            low, median, high = (100 * (row[f"{name}ratio_{end}"] - 1) for end in ("low", "median", "high"))
            cells.append(f"{median:+.1f} % ({low:+.1f} to {high:+.1f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
