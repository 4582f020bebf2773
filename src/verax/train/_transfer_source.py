"""The arrays of a source of weights by name: of a run, a folder, a file, or a tree of another library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from verax.findings import InputError
from verax.network import Variables
from verax.train._keys import base_key
from verax.train._saved import MANIFEST, load_state
from verax.trees import leaves_by_path

STATE = "model_state/"  # parameters have their bare paths, as in `freeze`; what the network updates stands below this


def source_leaves(source: Any) -> dict[str, Any]:
    """Returns the arrays of a source by name.

    Raises:
      InputError: if it is none that can be read.
    """
    if isinstance(source, str | Path):
        return _read(Path(source).expanduser())
    variables = source if isinstance(source, Variables) else getattr(source, "variables", None)
    if isinstance(variables, Variables):
        return variables_by_path(variables)
    if isinstance(source, Mapping) and isinstance(source.get("params"), Mapping):  # Linen's variables
        state = {name: tree for name, tree in source.items() if name != "params"}
        return variables_by_path(Variables(source["params"], state))
    leaves = leaves_by_path(source)
    wrong = [name for name, leaf in leaves.items() if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype")]
    if wrong or not leaves:
        found = f"{wrong[0] or 'a leaf'} is {type(leaves[wrong[0]]).__name__}" if wrong else "it is empty"
        raise InputError(f"source must be a run, the path of a file, or a tree of arrays by name, but {found}.")
    return leaves


def variables_by_path(variables: Variables) -> dict[str, Any]:
    """Returns the leaves of variables by path, those of the model state below `model_state/`."""
    state = {f"{STATE}{path}": leaf for path, leaf in leaves_by_path(variables.model_state).items()}
    return {**leaves_by_path(variables.params), **state}


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    folder = next((each for each in (path, path / "checkpoints" / "final") if (each / MANIFEST).is_file()), None)
    if folder is None:
        raise InputError(
            f"{path} must be the folder of a finished run, a folder that save_state wrote, or a .safetensors file, but "
            f"{'it is none of these' if path.exists() else 'there is no such file'}."
        )
    leaves = leaves_by_path(load_state(folder, _like(folder)))
    inside = {name.removeprefix("variables/"): leaf for name, leaf in leaves.items() if name.startswith("variables/")}
    return {name.removeprefix("params/"): leaf for name, leaf in (inside or leaves).items()}


def _like(folder: Path) -> dict[str, Any]:
    """Returns a state of the structure that a manifest describes, so that nothing of the user's has to run."""
    try:
        entries = json.loads((folder / MANIFEST).read_text())["leaves"]
        return {entry["path"]: _empty(entry["dtype"], tuple(entry["shape"])) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the state in {folder} is damaged: {MANIFEST} cannot be read. Use another one.") from error


def _empty(dtype: str, shape: tuple[int, ...]) -> Any:
    if dtype.startswith("key<"):
        return jnp.broadcast_to(base_key(0), shape)
    return np.empty(shape, jnp.dtype(dtype))


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise InputError(f"{path} must be a .safetensors file, but there is no such file.")
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(f"{path} must be a .safetensors file, but it cannot be read: {error}.") from error
