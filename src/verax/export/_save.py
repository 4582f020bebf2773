"""Writes a trained network as a folder that runs without its source: all of it, or nothing."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export
from safetensors.numpy import save_file

from verax import __version__
from verax.data import Preprocessing, Schema
from verax.export._exported import Exported
from verax.export._load import load
from verax.export._program import Predicts, Program, is_x64, make_program
from verax.export._signature import (
    PROMISED_DAYS,
    SIGNATURE,
    WEIGHTS,
    Signature,
    array_entry,
    file_entry,
    write_signature,
)
from verax.export._stablehlo import export_programs, rows_stay_apart
from verax.findings import InputError
from verax.network import Variables
from verax.trees import Tree, leaves_by_path, shape_text

BATCH_SIZES = (1, 32)  # one row as a service gets it, and a usual batch; more rows go through in blocks of 32


def save(
    path: str | Path,
    *,
    network: Any,
    objective: Predicts,
    variables: Variables,
    preprocessing: Preprocessing,
    schema: Schema,
    temperature: float | None = None,
    threshold: Any = None,
    name: str = "model",
    batch_sizes: Sequence[int] | None = None,
    facts: Mapping[str, Any] | None = None,
    raw: Tree | None = None,
    overwrite: bool = False,
) -> Exported:
    """Writes a trained network as the folder `path` (usually `model.vx`) and returns it as it was read back.

    The folder holds the program from raw inputs to predictions as StableHLO, the weights in safetensors, and
    `signature.json`. It appears whole or not at all. The program runs on the CPU and on what it was exported on.

    Args:
      path: the folder to write; folders above it are made.
      network: a `vx.Network` or any model that `vx.as_network` knows; it is exported in evaluation mode.
      objective: says what the outputs mean.
      variables: the trained weights.
      preprocessing: fitted, `Dataset.preprocessing`.
      schema: of the raw examples, `Dataset.schema`.
      temperature: divides the logits before they become probabilities.
      threshold: of a binary or multilabel task: from which probability on a label is there. A number, one for each
        label, or what `vx.evaluate.choose_threshold` returned. The model then gives `labels` too.
      name: of the model.
      batch_sizes: the sizes to export for where the network does not work with a symbolic batch size, `(1, 32)` by
        default. Other numbers of rows are then run in blocks of these, filled up; the signature says so.
      facts: JSON values to keep in the signature: fingerprints, scores.
      raw: some raw rows; needed if the inputs are a tree, whose shapes no schema says.
      overwrite: whether a model that is there already is replaced.

    Raises:
      InputError: if something is there already, a leaf cannot be stored, or the network cannot be exported.

    Example:
      >>> import tempfile
      >>> params = {"w": jnp.array([[0.0, 1.0, 2.0]] * 2)}
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     exported = save(
      ...         f"{folder}/model.vx",
      ...         network=vx.network.from_functions(lambda key, x: params, lambda params, x: x @ params["w"]),
      ...         objective=vx.classification(),
      ...         variables=vx.Variables(params, {}),
      ...         preprocessing=vx.data.Preprocessing(),
      ...         schema=vx.data.Schema("array", (2,), "float32", classes=("cat", "dog", "owl")),
      ...     )
      >>> exported.predict_rows([[1.0, 2.0]])[0].value
      'owl'
    """
    folder = Path(path).expanduser().absolute()
    _check_target(folder, overwrite)
    sizes = _sizes(batch_sizes)
    program = make_program(network, objective, variables, preprocessing, temperature, threshold)
    example = _example(schema, raw)
    platforms = tuple(dict.fromkeys(("cpu", jax_export.default_export_platform())))
    programs, fixed_because = export_programs(program, example, sizes, platforms)
    signature = _signature(programs, fixed_because, program, example, platforms, schema, objective.task)
    signature = replace(
        signature,
        name=name,
        preprocessing=preprocessing.to_json(),
        temperature=None if temperature is None else float(temperature),
        threshold=None if threshold is None else np.atleast_1d(program.weights["threshold"]).tolist(),
        padding=getattr(objective, "padding", None),
        facts=dict(facts or {}),
    )
    draft = folder.parent / f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}"
    draft.mkdir(parents=True)
    try:
        _write(draft, signature, program.weights, programs)
        exported = load(draft)
        _move(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return replace(exported, path=folder)


def _signature(
    programs: Mapping[int, jax_export.Exported],
    fixed_because: str,
    program: Program,
    example: Tree,
    platforms: tuple[str, ...],
    schema: Schema,
    task: str,
) -> Signature:
    """Returns what the programs themselves say; the rest is for the caller to fill in."""
    largest = max(programs)
    exported = programs[largest]
    outputs = exported.out_tree.unflatten(exported.out_avals)
    (_, inputs), _ = exported.in_tree.unflatten(exported.in_avals)
    now = datetime.now(UTC)
    probabilities = outputs.get("probabilities")
    return Signature(
        name="",
        task=task,
        schema=schema.to_json(),
        preprocessing={},
        inputs={path: array_entry(leaf.shape, leaf.dtype) for path, leaf in leaves_by_path(inputs).items()},
        outputs={path: array_entry(leaf.shape, leaf.dtype) for path, leaf in leaves_by_path(outputs).items()},
        classes=None if probabilities is None else _classes(schema, probabilities.shape[-1], task),
        temperature=None,
        weights={path: shape_text(leaf) for path, leaf in program.weights.items()},
        batch_sizes=None if largest == 0 else tuple(sorted(programs)),
        fixed_because=fixed_because,
        rows_independent=rows_stay_apart(program, example, largest),
        platforms=platforms,
        x64=is_x64(),
        created=now.isoformat(timespec="seconds"),
        promised_until=(now.date() + timedelta(days=PROMISED_DAYS)).isoformat(),
        versions={"verax": __version__, "jax": jax.__version__},
        files={},
    )


def _classes(schema: Schema, classes: int, task: str) -> tuple[str, ...] | None:
    if task == "language_model" and schema.classes is None:
        return None  # a vocabulary without names
    named = (schema.classes or ())[:classes]
    return (*named, *map(str, range(len(named), classes)))


def _example(schema: Schema, raw: Tree | None) -> Tree:
    """Returns shape and dtype of one raw example, in the types that JAX computes with."""
    if schema.kind == "tree" and raw is None:
        raise InputError(
            "raw must be given where the inputs are a tree of arrays, got None: some raw rows, such as "
            "Dataset.raw('train').inputs."
        )
    if schema.kind != "tree":
        return jax.ShapeDtypeStruct(schema.shape, jax.dtypes.canonicalize_dtype(np.dtype(schema.dtype)))
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf)[1:], jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype)),
        raw,
    )


def _sizes(batch_sizes: Sequence[int] | None) -> tuple[int, ...]:
    sizes = BATCH_SIZES if batch_sizes is None else tuple(batch_sizes)
    if not sizes or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise InputError(f"batch_sizes must be positive whole numbers, got {sizes}.")
    return tuple(sorted(set(sizes)))


def _write(
    folder: Path, signature: Signature, weights: dict[str, np.ndarray], programs: Mapping[int, jax_export.Exported]
) -> None:
    save_file(weights, folder / WEIGHTS)
    for size, name in signature.programs.items():
        (folder / name).write_bytes(programs[size].serialize())
    files = {name: file_entry(folder / name) for name in (WEIGHTS, *signature.programs.values())}
    write_signature(folder, replace(signature, files=files))


def _check_target(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / SIGNATURE).is_file()):
        raise InputError(f"path must be free or hold a model, but {folder} is something else. Choose another path.")
    if not overwrite and any(folder.iterdir()):
        raise InputError(
            f"path must be free, but there is a model at {folder}. Choose another path, or pass overwrite=True."
        )


def _move(draft: Path, folder: Path) -> None:
    """Renames the draft to its place. What was there is put back if that fails."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = draft.with_name(f"{draft.name}.old")
    folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
