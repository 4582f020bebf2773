"""Trains every program of the calibration set with plain JAX and Optax and checks that it is healthy.

    python benchmarks/calibration/check.py [--only deep_tanh,one_cycle]

Each must reach its scores on held-out rows, end with a held-out loss within a tenth of its best, and answer the same
twice in evaluation. Ends with 1 unless all are healthy. Takes some minutes on two cores.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from _plain_training import evaluation_of, measured, on_device, trained

from calibration import PROGRAMS, Healthy

AT_MOST = ("loss",)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="programs whose names start so, with commas between (default: all)")
    options = parser.parse_args(arguments)
    chosen = tuple(options.only.split(",")) if options.only else ("",)
    wrong = []
    for each in PROGRAMS:
        if each.name.startswith(chosen):
            start = time.perf_counter()
            try:
                said, healthy = checked(each)
            except Exception as error:  # a program that cannot run is not healthy
                said, healthy = f"{type(error).__name__}: {str(error)[:200]}", False
            print(
                f"{'ok  ' if healthy else 'FAIL'} {each.name:30s} {said}  ({time.perf_counter() - start:.1f} s)",
                flush=True,
            )
            wrong += [] if healthy else [each.name]
            jax.clear_caches()  # programs hardly share any; a hundred of them fill the memory
    print(f"{len(wrong)} not healthy" + (f": {', '.join(wrong)}" if wrong else ""))
    return 1 if wrong else 0


def checked(each: Healthy) -> tuple[str, bool]:
    """Returns what a training of a program gave, and whether it is healthy."""
    program = each.make()
    record = trained(program, watch=False)
    values = measured(record)
    reached = {
        name: values[name] <= bound if name in AT_MOST else values[name] >= bound for name, bound in each.scores.items()
    }
    best, last = min(record.test_losses), record.test_losses[-1]
    stays = last <= best + 0.1 * abs(best)
    finite = all(map(math.isfinite, [*record.step_losses, *record.test_losses]))
    assert program.test is not None
    asked = jax.jit(evaluation_of(program))
    answers = [asked(record.variables, on_device(program.test[0]), jax.random.key(seed)) for seed in (1, 2)]
    steady = all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, answers), strict=True))
    said = ", ".join(f"{name} {values[name]:.3f} (needs {bound:g})" for name, bound in each.scores.items())
    said += "" if stays else f", held-out loss rose from {best:.4g} to {last:.4g}"
    said += "" if finite else ", a loss is not finite"
    said += "" if steady else ", evaluation is not deterministic"
    said += f", train {record.losses[-1]:.3g} held-out {last:.3g}"
    return said, all(reached.values()) and stays and finite and steady


if __name__ == "__main__":
    sys.exit(main())
