"""Lowers a program to StableHLO: for any batch size where its code allows it, else for some sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from verax.export._program import Program, specs
from verax.findings import InputError
from verax.jaxpr import rows_are_independent
from verax.trees import Tree, leaves_by_path, shape_text


def export_programs(
    program: Program, example: Tree, sizes: tuple[int, ...], platforms: Sequence[str]
) -> tuple[dict[int, jax_export.Exported], str]:
    """Returns the programs by batch size, 0 for any, and why only some sizes are possible.

    Args:
      program: what is exported.
      example: shape and dtype of each array of one raw example.
      sizes: to try where a symbolic batch size is impossible.
      platforms: `cpu`, `cuda`, `tpu`.

    Raises:
      InputError: if no size is possible, or an output has no axis of examples.
    """
    jitted, weights = jax.jit(program.function), specs(program.weights)

    def of_size(rows: Any) -> jax_export.Exported:
        raw = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype), example)
        exported = jax_export.export(jitted, platforms=platforms)(weights, raw)
        exported.serialize()  # a network may be exported and still not be written: host callbacks, trees of other types
        return exported

    try:
        (rows,) = jax_export.symbolic_shape("batch")
        return {0: _checked(of_size(rows))}, ""
    except InputError:
        raise
    except Exception as error:  # whatever the network's own code does with a size that is not a number
        reasons = {"any": error}
    programs = {}
    for size in sizes:
        try:
            programs[size] = _checked(of_size(size))
        except InputError:
            raise
        except Exception as error:
            reasons[str(size)] = error
    if not programs:
        listed = "\n".join(f"  batch size {size}: {_first_line(error)}" for size, error in reasons.items())
        raise InputError(
            "network must be one that JAX can export, but it failed at every batch size:\n"
            f"{listed}\nTake out callbacks and prints, return arrays in dicts, lists or tuples, or pass batch_sizes=."
        ) from reasons["any"]
    return programs, _first_line(reasons["any"])


def _checked(exported: jax_export.Exported) -> jax_export.Exported:
    (_, raw), _ = exported.in_tree.unflatten(exported.in_avals)
    rows = jax.tree.leaves(raw)[0].shape[0]
    for path, leaf in leaves_by_path(exported.out_tree.unflatten(exported.out_avals)).items():
        if not leaf.shape or leaf.shape[0] != rows:
            raise InputError(
                f"{path} must have the axis of examples first, ({rows}, ...), got {shape_text(leaf)}. "
                "Return outputs for each example."
            )
    return exported


def rows_stay_apart(program: Program, example: Tree, largest: int) -> bool:
    """Returns whether no row depends on another; `largest` is 0 where any batch size fits."""
    if largest == 1:
        return True  # it only ever runs row by row
    return _provably_independent(program, example, largest or 4) or (
        largest > 0 and _independent_in_trials(program, example, largest)
    )


def _provably_independent(program: Program, example: Tree, rows: int) -> bool:
    raw = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype), example)
    return rows_are_independent(lambda raw, weights: program.function(weights, raw), raw, specs(program.weights))


def _independent_in_trials(program: Program, example: Tree, rows: int, trials: int = 3) -> bool:
    """Returns whether the first half of a batch gives the same bits whatever the second half holds.

    For programs written row by row, which a reading of the program cannot tell from rows that are mixed.
    """
    jitted, generator = jax.jit(program.function), np.random.default_rng(0)
    kept = rows // 2
    for _ in range(trials):
        raw = jax.tree.map(lambda leaf: generator.integers(0, 2, (rows, *leaf.shape)).astype(leaf.dtype), example)
        other = jax.tree.map(lambda leaf: np.concatenate([leaf[:kept], (leaf[kept:] == 0).astype(leaf.dtype)]), raw)
        outputs, others = jitted(program.weights, raw), jitted(program.weights, other)
        for before, after in zip(jax.tree.leaves(outputs), jax.tree.leaves(others), strict=True):
            if np.asarray(before)[:kept].tobytes() != np.asarray(after)[:kept].tobytes():
                return False
    return True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
