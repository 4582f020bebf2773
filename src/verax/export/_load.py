"""Reads a model folder. Nothing in it runs as Python: weights are arrays, programs are StableHLO without callbacks."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import numpy as np
from jax import export as jax_export
from safetensors import SafetensorError
from safetensors.numpy import load_file

from verax.export._exported import Exported
from verax.export._program import is_x64
from verax.export._signature import WEIGHTS, Signature, file_entry, read_signature
from verax.findings import Finding, InputError, raise_errors
from verax.trees import differences

_CALLBACK = re.compile(rb"xla_\w*python\w*callback")  # the custom calls by which a program would call back into Python


def load(path: str | Path) -> Exported:
    """Returns a model that `save` wrote; needs no source of the model and no network library.

    Sizes and digests of all files are checked first. They find damage, not forgery: who can edit the files can edit the
    digests too. A program cannot reach Python in any case.

    Raises:
      InputError: if something is missing, cut short, edited, newer than this Verax or no longer readable by this JAX.
    """
    folder = Path(path).expanduser()
    signature = read_signature(folder)
    _check_files(folder, signature)
    if signature.x64 and not is_x64():
        raise InputError(f"{folder} computes with 64-bit numbers, but they are off. Run with JAX_ENABLE_X64=1.")
    platform = jax_export.default_export_platform()
    if platform not in signature.platforms:
        raise InputError(
            f"{folder} must run on one of {list(signature.platforms)}, but this process runs on {platform!r}. "
            f"Set JAX_PLATFORMS={signature.platforms[0]}, or export the model again on {platform}."
        )
    weights = _read_weights(folder / WEIGHTS, signature)
    programs = {size: _read_program(folder / name, signature) for size, name in signature.programs.items()}
    for size, program in programs.items():
        (wanted, _), _ = program.in_tree.unflatten(program.in_avals)
        lines = differences(wanted, weights)
        if lines:
            raise InputError(
                f"{folder / signature.programs[size]} does not fit the weights: {'; '.join(lines[:5])}. "
                "Export it again."
            )
    return Exported(folder, signature, weights, programs)


def _check_files(folder: Path, signature: Signature) -> None:
    """Raises InputError for every file that is missing, of another size, or of another digest."""
    findings = []
    for name in (WEIGHTS, *signature.programs.values()):
        path, expected = folder / name, signature.files.get(name, {"bytes": None, "sha256": ""})
        if not path.is_file():
            inside = ", ".join(sorted(entry.name for entry in folder.iterdir()))
            message = f"{path} is expected, found only {inside}."
            findings.append(Finding("missing-file", "error", message, "Copy the whole folder again."))
            continue
        size = path.stat().st_size
        if size != expected["bytes"]:
            short = "cut short" if size < (expected["bytes"] or 0) else "too long"
            message = f"{path} is {short}: {expected['bytes']:,} bytes expected, found {size:,}."
            findings.append(Finding("wrong-size", "error", message, "Copy it again."))
        elif (found := file_entry(path)["sha256"]) != expected["sha256"]:
            message = (
                f"{path} was changed or damaged: SHA-256 {expected['sha256'][:12]}... expected, found {found[:12]}...."
            )
            findings.append(Finding("wrong-digest", "error", message, "Copy it again, or export the model again."))
    raise_errors(findings)


def _read_weights(path: Path, signature: Signature) -> dict[str, np.ndarray]:
    try:
        weights = load_file(path)
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} must be a safetensors file, but reading it failed: {error}. Export the model again."
        ) from error
    if set(weights) != set(signature.weights):
        odd = sorted(set(weights) ^ set(signature.weights))
        raise InputError(
            f"{path} must hold the weights that the signature lists, but {odd[:5]} are in one of them only."
        )
    return weights


def _read_program(path: Path, signature: Signature) -> jax_export.Exported:
    """Returns a program.

    Raises:
      InputError: if this JAX cannot read it, or it calls back into Python.
    """
    try:
        program = jax_export.deserialize(bytearray(path.read_bytes()))
    except Exception as error:  # JAX has no type of its own for this; old, new and damaged programs fail anywhere
        raise _unreadable(path, signature, f"{type(error).__name__}: {error}") from error
    oldest = jax_export.minimum_supported_calling_convention_version
    newest = jax_export.maximum_supported_calling_convention_version
    version = program.calling_convention_version
    if not oldest <= version <= newest:
        raise _unreadable(path, signature, f"calling convention {version} is not among {oldest} to {newest}")
    callback = _CALLBACK.search(program.mlir_module_serialized)
    if callback:
        raise InputError(
            f"{path} must be a pure program, but it calls back into Python ({callback.group().decode()}). "
            "Verax never writes such a program: do not run it."
        )
    return program


def _unreadable(path: Path, signature: Signature, reason: str) -> InputError:
    writer = signature.versions.get("jax", "of an unknown version")
    promise = "a day that has passed" if signature.expired else "and a newer JAX writes what an older one cannot read"
    return InputError(
        f"{path} must be readable by JAX {jax.__version__}, but it is not ({reason}). It was written on "
        f"{signature.created[:10]} with JAX {writer}, which later versions promise to read until "
        f"{signature.promised_until}, {promise}. Export the model again from its run, or install jax=={writer}."
    )
