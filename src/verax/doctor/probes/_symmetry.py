"""Are there units that start equal and stay equal, and leaves that are one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject, on_device
from verax.findings import Finding, Leaf
from verax.trees import is_floating

ALIKE = 1e-5  # of the largest entry of a gradient: some tens of float32 units
Arrays = list[np.ndarray]


def look(subject: Subject) -> Seen:
    """Compares the units of each layer by their weights and by their gradients on two batches."""
    params, gradients = _params(subject), _gradients(subject)
    if not all(np.isfinite(each).all() for some in gradients for each in some):
        raise NotApplicable("gradients are not finite.")
    still = _standing_still(subject, params, gradients)
    if still:
        return _all_zero(subject, still)
    alike = [found for index in range(len(params)) for found in _alike(index, params, gradients)]
    paired = [each for each in alike if _is_stack(params, each) or sum(other[2] == each[2] for other in alike) > 1]
    compared = (
        f"units of {len(params)} leaves: {len(paired)} leaves in which all units have equal weights and gradients."
    )
    if not paired:
        return Seen(compared)
    index, axis, count = max(paired, key=lambda each: params[each[0]].size)
    path = subject.paths[index]
    message = f"all {count} units of {path} (axis {axis}) start equal and get equal gradients, so they stay one unit."
    evidence = tuple(
        f"{subject.paths[i]} axis {a}: {n} equal slices, of weights and of gradients" for i, a, n in paired[:4]
    )
    advice = "Draw the weights at random (lecun_normal, he_normal), each layer and copy with a key of its own."
    finding = Finding(
        "symmetric-initialization", "error", message, advice, Leaf(f"params/{path}"), "model", evidence, 1.0
    )
    return Seen(compared, (finding,))


def _is_stack(params: Arrays, found: tuple[int, int, int]) -> bool:
    """Returns whether a leaf holds copies of a layer (vmapped), whose outgoing weights are in the leaf itself."""
    return found[1] == 0 and params[found[0]].ndim > 2


def _alike(index: int, params: Arrays, gradients: Sequence[Arrays]) -> list[tuple[int, int, int]]:
    """Returns `(leaf, axis, length)` for each axis along which all slices are equal, in weights and gradients."""
    leaf, found = params[index], []
    for axis in range(leaf.ndim):
        if leaf.shape[axis] < 2:
            continue
        same = _equal_slices(leaf, axis, 0.0)
        for gradient in gradients:
            size = float(np.max(np.abs(gradient[index]), initial=0.0))
            same = same and size > 0 and _equal_slices(gradient[index], axis, ALIKE * size)
        if same:
            found.append((index, axis, leaf.shape[axis]))
    return found


def _equal_slices(leaf: np.ndarray, axis: int, within: float) -> bool:
    return bool(np.max(np.ptp(leaf, axis=axis), initial=0.0) <= within)


def _standing_still(subject: Subject, params: Arrays, gradients: Sequence[Arrays]) -> list[int]:
    """Returns the weight matrices that are zero and get no gradient, though others were moved."""
    zero = [
        i
        for i, leaf in enumerate(params)
        if leaf.ndim >= 2 and not leaf.any() and not any(g[i].any() for g in gradients)
    ]
    if len(zero) < 2:
        return []
    leaves, tree = jax.tree.flatten(subject.variables.params)
    for _ in range(3):  # as three steps of Adam would move them: a zero head moves first, then what is below it
        moved = jax.tree.unflatten(tree, leaves)
        _, grads = subject.gradient(moved, subject.variables.model_state, subject.batch, subject.noise(0))
        leaves = [
            leaf - 1e-2 * jnp.sign(grad) if is_floating(leaf) else leaf
            for leaf, grad in zip(leaves, jax.tree.leaves(grads), strict=True)
        ]
    floating = [np.asarray(leaf) for leaf in leaves if is_floating(leaf)]
    return [index for index in zero if not floating[index].any()]


def _all_zero(subject: Subject, still: list[int]) -> Seen:
    paths = ", ".join(subject.paths[index] for index in still[:4])
    message = (
        f"{len(still)} weight matrices start at zero and get no gradient, at the start and after three steps: {paths}."
    )
    advice = "Draw all but the last layer at random: lecun_normal, he_normal."
    where = Leaf(f"params/{subject.paths[still[0]]}")
    finding = Finding("symmetric-initialization", "error", message, advice, where, "model", (), 1.0)
    return Seen("weights that are zero, and their gradients.", (finding,))


def equal_leaves(subject: Subject) -> list[list[int]]:
    """Returns groups of leaves that start with the same numbers, which are not all one number."""
    groups: dict[Any, list[int]] = {}
    for index, leaf in enumerate(_params(subject)):
        if leaf.size >= 1 and (leaf.size == 1 or np.ptp(leaf) > 0) and leaf.any():
            groups.setdefault((leaf.shape, leaf.tobytes()), []).append(index)
    return [group for group in groups.values() if len(group) > 1 and _is_drawn(subject, group)]


def _is_drawn(subject: Subject, group: list[int]) -> bool:
    """Returns whether equal leaves hold numbers that nobody would write down; a scale of 1 is written twice."""
    leaf = _params(subject)[group[0]]
    return leaf.size > 1 or float(np.ravel(leaf)[0] * 1000) % 1 != 0


def moving_alike(subject: Subject, groups: list[list[int]]) -> list[list[int]]:
    """Returns the groups whose leaves also get equal gradients on two batches, other than zero."""
    gradients, alike = _gradients(subject), []
    for group in groups:
        for gradient in gradients:
            size = max(float(np.max(np.abs(gradient[index]), initial=0.0)) for index in group)
            parts = [float(np.max(np.abs(gradient[index] - gradient[group[0]]), initial=0.0)) for index in group]
            if size == 0 or max(parts) > ALIKE * size:
                break
        else:
            alike.append(group)
    return alike


def _params(subject: Subject) -> Arrays:
    return [
        np.asarray(leaf, np.float64) if is_floating(leaf) else np.zeros(())
        for leaf in jax.tree.leaves(subject.variables.params)
    ]


def _gradients(subject: Subject) -> list[Arrays]:
    """Returns the gradients of the first two batches, with two keys."""
    batches = [subject.batch, *map(on_device, subject.first_epoch[1:2])]
    shapes = [jax.tree.map(np.shape, batch) for batch in batches]
    batches = [batch for batch, shape in zip(batches, shapes, strict=True) if shape == shapes[0]]
    found = []
    for step, batch in enumerate(batches):
        _, grads = subject.gradient(*subject.variables, batch, subject.noise(step))
        found.append([np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(grads)])
    return found


PROBES = (Probe("symmetry of units", ("symmetric-initialization",), look),)
