"""The other end of `measure_in_fresh_process`: a process that knows the model folder alone. Run as a program.

`python -m verax.export._fresh FOLDER` reads `request.json` and `inputs.safetensors` in FOLDER and writes
`result.json` and `outputs.safetensors` there.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import load_file, save_file

from verax.export._exported import Exported
from verax.export._load import load
from verax.trees import Tree, leaves_by_path

WARM_UP = 5  # calls before the clock starts: the first few still fill caches and start threads
FEWEST_CALLS = 20


def main(folder: Path) -> None:
    """Answers the request in a folder."""
    request = json.loads((folder / "request.json").read_text())
    for name, value in request["config"].items():
        jax.config.update(name, value)
    jax.devices()
    import_seconds = time.time() - request["started"]

    clock = time.perf_counter()
    exported = load(request["path"])
    jax.block_until_ready(exported.device_weights)
    load_seconds = time.perf_counter() - clock
    loaded_bytes = peak_bytes()

    raw = _raw_inputs(exported, load_file(folder / "inputs.safetensors"))
    rows = jax.tree.leaves(raw)[0].shape[0]
    clock = time.perf_counter()
    outputs = exported.predict(raw, batch_size=rows)
    first_seconds = time.perf_counter() - clock
    save_file(
        {path: np.array(leaf, order="C") for path, leaf in leaves_by_path(outputs).items()},
        folder / "outputs.safetensors",
    )

    latencies = [_latency(exported, raw, size, request) for size in request["batch_sizes"] if _fits(exported, size)]
    result = {
        "import_seconds": import_seconds,
        "load_seconds": load_seconds,
        "first_seconds": first_seconds,
        "latencies": latencies,
        "loaded_bytes": loaded_bytes,
        "peak_bytes": peak_bytes(),
        "device": str(jax.devices()[0].device_kind),
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    }
    (folder / "result.json").write_text(json.dumps(result))


def peak_bytes() -> int:
    """Returns the most memory that this process has held, in bytes.

    Linux hands the peak of the parent on through `exec` to `getrusage`; `VmHWM` counts this program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _raw_inputs(exported: Exported, leaves: dict[str, np.ndarray]) -> Tree:
    """Returns the inputs in the structure that the program takes; they were sent by number."""
    program = next(iter(exported.stablehlo.values()))
    (_, raw), _ = program.in_tree.unflatten(program.in_avals)
    return jax.tree.unflatten(jax.tree.structure(raw), [leaves[str(index)] for index in range(len(leaves))])


def _fits(exported: Exported, size: int) -> bool:
    """Returns whether so many rows are one call of a program."""
    signature = exported.signature
    if signature.batch_sizes is None or size in signature.batch_sizes:
        return True
    return signature.rows_independent and size <= max(signature.batch_sizes)


def _latency(exported: Exported, raw: Tree, size: int, request: dict[str, Any]) -> dict[str, Any]:
    """Times warm calls, each with a batch from the host and until its outputs are ready."""
    held = min(each for each in exported.signature.batch_sizes or (size,) if each >= size)  # filled up to this size
    batch = jax.tree.map(lambda leaf: np.resize(leaf, (held, *leaf.shape[1:])), raw)  # repeats rows as needed
    program, weights = exported.compiled(held), exported.device_weights
    for _ in range(WARM_UP):
        jax.block_until_ready(program(weights, batch))
    seconds: list[float] = []
    end = time.perf_counter() + request["seconds_per_size"]
    calls = request["calls"]
    at_least = calls if size == request["batch_sizes"][0] else min(FEWEST_CALLS, calls)
    while len(seconds) < at_least or (len(seconds) < calls and time.perf_counter() < end):
        clock = time.perf_counter()
        jax.block_until_ready(program(weights, batch))
        seconds.append(time.perf_counter() - clock)
    p50, p95, p99 = map(float, np.percentile(seconds, [50, 95, 99]))
    memory = program.memory_analysis()
    return {
        "batch_size": size,
        "calls": len(seconds),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "examples_per_second": size * len(seconds) / sum(seconds),
        "program_bytes": {
            name: int(getattr(memory, f"{name}_size_in_bytes", 0))
            for name in ("argument", "output", "temp", "generated_code")
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
