"""A train state on disk: Orbax for the arrays, and a manifest with the digest of every leaf beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.findings import InputError
from verax.trees import Tree, host, leaf_digest, leaves_by_path, shape_text

MANIFEST = "manifest.json"
FORMAT = 1
SHOWN = 150  # characters of what Orbax says


def save_state(path: str | Path, state: Tree, *, overwrite: bool = False) -> Path:
    """Writes a state to a new folder and returns its path. The folder appears complete or not at all.

    Args:
      path: the folder to make.
      state: any tree of arrays and random keys, such as a `TrainState`.
      overwrite: replace an existing folder.

    Raises:
      InputError: if the folder exists and `overwrite` is False.
    """
    from orbax.checkpoint import v1 as orbax

    path = Path(path).resolve()
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already. Choose another folder, or pass overwrite=True.")
    leaves = leaves_by_path(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    orbax.save(unfinished / "arrays", {_slot(index): _stored(leaf) for index, leaf in enumerate(leaves.values())})
    content = {
        "format": FORMAT,
        "leaves": [
            {"path": name, "shape": list(np.shape(leaf)), "dtype": str(_dtype(leaf)), "sha256": leaf_digest(leaf)}
            for name, leaf in leaves.items()
        ],
        "files": {
            str(file.relative_to(unfinished)): {"bytes": file.stat().st_size, "sha256": _file_digest(file)}
            for file in sorted((unfinished / "arrays").rglob("*"))
            if file.is_file()
        },
    }
    (unfinished / MANIFEST).write_text(json.dumps({**content, "sha256": _content_digest(content)}, indent=1))
    if path.exists():
        shutil.rmtree(path)
    unfinished.rename(path)
    return path


def load_state(path: str | Path, like: Tree) -> Tree:
    """Returns a state that `save_state` wrote, every leaf verified against its digest.

    Args:
      path: the folder.
      like: a state of the same structure, such as a run's first; its values do not matter.

    Raises:
      InputError: if the folder is missing or damaged, or its leaves are not those of `like`: all differences are named.
        Nothing is cast.
    """
    path = Path(path).resolve()
    manifest = _read_manifest(path)
    expected = leaves_by_path(like)
    stored = {entry["path"]: entry for entry in manifest["leaves"]}
    lines = [f"{name}: expected {shape_text(leaf)}, missing" for name, leaf in expected.items() if name not in stored]
    lines += [f"{name}: not expected, found {_text(entry)}" for name, entry in stored.items() if name not in expected]
    lines += [
        f"{name}: expected {shape_text(leaf)}, found {_text(stored[name])}"
        for name, leaf in expected.items()
        if name in stored
        and (list(np.shape(leaf)), str(_dtype(leaf))) != (stored[name]["shape"], stored[name]["dtype"])
    ]
    if lines:
        raise InputError(f"the state in {path} does not fit:\n" + "\n".join(f"  {line}" for line in sorted(lines)))
    _check_files(path, manifest)
    arrays = _read_arrays(path)
    leaves = []
    slots = {name: _slot(index) for index, name in enumerate(stored)}
    for name, leaf in expected.items():
        found = arrays.get(slots[name])
        restored = None if found is None else _restore(np.asarray(found), leaf)
        if restored is None or leaf_digest(restored) != stored[name]["sha256"]:
            raise InputError(
                f"the state in {path} is damaged: {name} does not match its digest. Use another checkpoint."
            )
        leaves.append(restored)
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _read_manifest(path: Path) -> dict[str, Any]:
    damaged = f"the state in {path} is damaged: {MANIFEST} cannot be read. Use another checkpoint."
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except (FileNotFoundError, NotADirectoryError):
        said = f"{path} holds no saved state: {MANIFEST} is missing."
        raise InputError(f"{said} Expected a folder that save_state wrote.") from None
    except (ValueError, OSError) as error:
        raise InputError(damaged) from error
    try:
        number, digest = int(manifest["format"]), manifest.pop("sha256", None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(damaged) from error
    if number > FORMAT:
        raise InputError(f"the state in {path} has format {number}, this Verax reads up to {FORMAT}. Update Verax.")
    if digest != _content_digest(manifest):
        raise InputError(
            f"the state in {path} is damaged: {MANIFEST} has changed since it was written. Use another checkpoint."
        )
    return manifest


def _content_digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _check_files(path: Path, manifest: dict[str, Any]) -> None:
    """Raises an InputError for files that are not as they were written.

    Orbax would find some of such damage too, but late, from threads of its own that go on printing tracebacks.
    """
    problems = []
    for name, entry in manifest["files"].items():
        file = path / name
        if not file.is_file():
            problems.append(f"{name} is missing")
        elif file.stat().st_size != entry["bytes"]:
            problems.append(f"{name} must have {entry['bytes']:,} bytes, found {file.stat().st_size:,}")
        elif _file_digest(file) != entry["sha256"]:
            problems.append(f"{name} has changed since it was written")
    if problems:
        more = f" and {len(problems) - 3} more files" if len(problems) > 3 else ""
        raise InputError(f"the state in {path} is damaged: {'; '.join(problems[:3])}{more}. Use another checkpoint.")


def _file_digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read_arrays(path: Path) -> dict[str, Any]:
    from orbax.checkpoint import v1 as orbax

    try:
        return orbax.load(path / "arrays")
    except Exception as error:  # Orbax raises many kinds, tensorstore its own: all mean that the files are unreadable
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        said = textwrap.shorten(first_line, SHOWN, placeholder=" ...").rstrip(".")
        raise InputError(f"the state in {path} is damaged: {said}. Use another checkpoint.") from error


def _restore(found: np.ndarray, like: Any) -> Any:
    if 0 in np.shape(like):
        found = found[:0].reshape(host(like).shape)
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(found), impl=jax.random.key_impl(like))
    return jnp.asarray(found) if isinstance(like, jax.Array) else found


def _stored(leaf: Any) -> np.ndarray:
    """Returns what Orbax is to write: it takes no arrays without elements, so one stands for none."""
    array = host(leaf)
    return array if array.size else np.zeros(1, array.dtype)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _slot(index: int) -> str:
    return f"leaf_{index:05d}"


def _text(entry: dict[str, Any]) -> str:
    return f"{entry['dtype']}[{','.join(map(str, entry['shape']))}]"
