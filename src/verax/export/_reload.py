"""Whether a model that was written and read again in another process gives the same bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from verax.data import Preprocessing
from verax.export._blocks import blocks_of, run_in_blocks
from verax.export._load import load
from verax.export._measure import FreshProcess, measure_in_fresh_process
from verax.export._program import Predicts, make_program
from verax.network import Variables
from verax.trees import Tree, leaves_by_path


@dataclass(frozen=True, eq=False)
class ReloadComparison:
    """The outputs of a network in this process and of its export in a fresh one.

    Attributes:
      equal: whether all outputs are equal bit for bit.
      max_difference: the largest absolute difference of any number; infinite where shapes differ or only one is NaN.
      differences: the same for each output, by path.
      rows: how many rows were compared.
      expected: outputs of the network, from its source.
      found: outputs of the export.
      fresh: what else the fresh process measured.
    """

    equal: bool
    max_difference: float
    differences: dict[str, float]
    rows: int
    expected: dict[str, np.ndarray] = field(repr=False)
    found: dict[str, np.ndarray] = field(repr=False)
    fresh: FreshProcess = field(repr=False)


def compare_reload(
    path: str | Path,
    network: Any,
    objective: Predicts,
    variables: Variables,
    preprocessing: Preprocessing,
    temperature: float | None,
    raw_inputs: Tree,
    *,
    fresh: FreshProcess | None = None,
    timeout: float = 300.0,
) -> ReloadComparison:
    """Returns how the outputs of an exported model, read in a fresh process, differ from those of the network itself.

    Both run the same batches, with weights as arguments and the same settings of JAX; a processor then gives the same
    bits for the same program.

    Args:
      path: of the model folder.
      network: the network that was exported.
      objective: as given to `save`.
      variables: as given to `save`.
      preprocessing: as given to `save`.
      temperature: as given to `save`.
      raw_inputs: raw rows to compare on.
      fresh: what `measure_in_fresh_process` returned for the same path and rows; None to run it now, for outputs alone.
      timeout: seconds that the fresh process may take.

    Raises:
      InputError: if the folder is no model, or the inputs do not fit it.
      RuntimeError: if the fresh process fails.
    """
    if fresh is None:
        fresh = measure_in_fresh_process(path, raw_inputs, batch_sizes=(), timeout=timeout)
    expected = reload_outputs_in_process(path, network, objective, variables, preprocessing, temperature, raw_inputs)
    found = fresh.outputs
    gaps = {name: _gap(expected.get(name), found.get(name)) for name in sorted({*expected, *found})}
    equal = expected.keys() == found.keys() and all(_same_bits(expected[name], found[name]) for name in expected)
    rows = next(iter(expected.values())).shape[0]
    return ReloadComparison(equal, max(gaps.values()), gaps, rows, expected, found, fresh)


def reload_outputs_in_process(
    path: str | Path,
    network: Any,
    objective: Predicts,
    variables: Variables,
    preprocessing: Preprocessing,
    temperature: float | None,
    raw_inputs: Tree,
) -> dict[str, np.ndarray]:
    """Returns the outputs of the network itself by path, compiled afresh, in the same batches as its export."""
    exported = load(path)
    raw = exported.check(raw_inputs)
    rows = jax.tree.leaves(raw)[0].shape[0]
    program = make_program(network, objective, variables, preprocessing, temperature, exported.signature.threshold)
    jitted, weights = jax.jit(program.function), jax.device_put(program.weights)
    outputs = run_in_blocks(lambda block: jitted(weights, block), raw, blocks_of(exported.signature, rows, rows))
    return leaves_by_path(outputs)


def _same_bits(expected: np.ndarray, found: np.ndarray) -> bool:
    same_type = (expected.dtype, expected.shape) == (found.dtype, found.shape)
    return same_type and expected.tobytes() == found.tobytes()


def _gap(expected: np.ndarray | None, found: np.ndarray | None) -> float:
    """Returns the largest absolute difference; infinite where there is nothing to subtract."""
    if expected is None or found is None or expected.shape != found.shape:
        return float("inf")
    left, right = (
        array.astype(np.complex128 if array.dtype.kind == "c" else np.float64) for array in (expected, found)
    )
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same, 0.0, np.abs(left - right))
    return float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0.0))
