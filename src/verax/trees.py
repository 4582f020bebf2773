"""Pytrees by path: names, shapes, finiteness, differences and digests of their leaves."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

Tree = PyTree[Any]


def path_text(path: tuple[Any, ...]) -> str:
    """Returns a key path as text: `hidden_0/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def leaves_by_path(tree: Tree) -> dict[str, Any]:
    """Returns the leaves of a tree under their paths, in the tree's own order.

    Example:
      >>> list(leaves_by_path({"hidden": {"bias": 0, "kernel": 1}}))
      ['hidden/bias', 'hidden/kernel']
    """
    return {path_text(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def is_floating(leaf: Any) -> bool:
    """Returns whether a leaf holds floating-point numbers (a random key does not)."""
    return jnp.issubdtype(jnp.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype, jnp.floating)


def is_key(leaf: Any) -> bool:
    """Returns whether a leaf is a typed random key, or an array of them."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def all_finite(tree: Tree) -> Bool[Array, ""]:
    """Returns whether no floating-point leaf holds a NaN or an Inf; traceable."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if is_floating(leaf)]
    return jnp.all(jnp.array([jnp.isfinite(leaf).all() for leaf in leaves])) if leaves else jnp.array(True)


def count(tree: Tree) -> int:
    """Returns the number of elements in all leaves."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(tree))


def host(leaf: Any) -> np.ndarray:
    """Returns a leaf as a NumPy array; a random key as its raw words."""
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def digest(tree: Tree) -> str:
    """Returns the SHA-256 of a tree: paths, dtypes, shapes and bytes of all leaves, in hexadecimal."""
    total = hashlib.sha256()
    for path, leaf in leaves_by_path(tree).items():
        total.update(f"{path}\0{leaf_digest(leaf)}\0".encode())
    return total.hexdigest()


def leaf_digest(leaf: Any) -> str:
    """Returns the SHA-256 of one leaf: dtype, shape and bytes, in hexadecimal."""
    array = np.ascontiguousarray(host(leaf))
    head = f"{array.dtype.name}\0{np.shape(leaf)}\0".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def differences(expected: Tree, found: Tree) -> list[str]:
    """Returns a line for each leaf that is missing, unexpected, or of another shape or dtype; empty if the trees fit.

    Example:
      >>> differences({"bias": jnp.zeros(3)}, {"bias": jnp.zeros(4)})
      ['bias: expected float32[3], found float32[4]']
    """
    expected_leaves, found_leaves = leaves_by_path(expected), leaves_by_path(found)
    lines = [
        f"{path}: expected {shape_text(leaf)}, missing"
        for path, leaf in expected_leaves.items()
        if path not in found_leaves
    ]
    lines += [
        f"{path}: not expected, found {shape_text(leaf)}"
        for path, leaf in found_leaves.items()
        if path not in expected_leaves
    ]
    for path in expected_leaves.keys() & found_leaves.keys():
        before, after = shape_text(expected_leaves[path]), shape_text(found_leaves[path])
        if before != after:
            lines.append(f"{path}: expected {before}, found {after}")
    return sorted(lines)


def shape_text(leaf: Any) -> str:
    """Returns dtype and shape of a leaf: `float32[3,4]`."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return f"{dtype}[{','.join(map(str, np.shape(leaf)))}]"
