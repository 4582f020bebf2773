"""Learning rates by layer: one optimizer for each group of parameters, named by patterns of their paths."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

from verax.findings import InputError
from verax.train._freeze import path_matches
from verax.trees import Tree, leaves_by_path, path_text

SHOWN = 8  # paths in one message


def layerwise(optimizer: Any, rates: Mapping[str, Any], *, base: Any = None) -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer that gives each group of parameters a learning rate of its own (`optax.partition`).

    A parameter belongs to the first pattern that its path, or a folder above it, matches: `Conv_*`, `*/bias`,
    `encoder/layer_3`. `*` stands for any text, slashes too. Groups are formed when the optimizer meets the parameters
    (`init`). Anything inside `optimizer` sees one group only; what should see all of them, such as clipping by the
    global norm, is chained before:
    `optax.chain(optax.clip_by_global_norm(1.0), vx.layerwise(...))`.

    Args:
      optimizer: makes an Optax optimizer of a learning rate: `optax.adam`, `lambda rate: optax.sgd(rate, 0.9)`.
      rates: learning rates, numbers or schedules, by pattern; with `base`, factors (numbers) that it is multiplied by.
      base: a learning rate, a number or a schedule, for parameters that no pattern matches. Without it, every parameter
        needs a pattern.

    Raises:
      InputError: if a rate is not one; when `init` is called, if a pattern matches no parameter, or a parameter no
        pattern.

    Example:
      >>> import optax
      >>> optimizer = vx.train.layerwise(optax.sgd, {"Dense_0/*": 0.1}, base=1.0)
      >>> params = {"Dense_0": {"bias": jnp.zeros(1)}, "Dense_1": {"bias": jnp.zeros(1)}}
      >>> grads = jax.tree.map(jnp.ones_like, params)
      >>> updates, _ = optimizer.update(grads, optimizer.init(params), params)
      >>> [round(float(leaf[0]), 4) for leaf in jax.tree.leaves(updates)]
      [-0.1, -1.0]
    """
    if not callable(optimizer):
        raise InputError(
            f"optimizer must make an Optax optimizer of a learning rate, such as optax.adam, got "
            f"{type(optimizer).__name__}. Pass optax.adam, or lambda rate: optax.adam(rate)."
        )
    if not isinstance(rates, Mapping) or not (rates or base is not None):
        raise InputError(f"rates must be a dict of learning rates by pattern, got {rates!r}.")
    if base is not None and not (callable(base) or _is_rate(base)):
        raise InputError(f"base must be a learning rate of at least 0 or a schedule, got {base!r}.")
    for pattern, rate in rates.items():
        if not isinstance(pattern, str) or not (_is_rate(rate) or (base is None and callable(rate))):
            kind = "a learning rate of at least 0 or a schedule" if base is None else "a factor of at least 0"
            raise InputError(f"rates must give {kind} for each pattern of paths, got {pattern!r}: {rate!r}.")
    chosen = dict(rates) if base is None else {pattern: _scaled(base, factor) for pattern, factor in rates.items()}
    groups = {pattern: optimizer(rate) for pattern, rate in chosen.items()}
    if base is not None:
        groups[_OTHERS] = optimizer(base)
    return optax.partition(groups, lambda params: _labels(params, tuple(rates), base is not None))


def decaying_rates(layers: Sequence[str], factor: Any) -> dict[str, Any]:
    """Returns factors that fall with the distance from the output, for `layerwise(..., base=rate)`.

    The last layer takes the base rate, the one before it `factor` times that, and so on.

    Args:
      layers: patterns, from the input to the output.
      factor: from a layer to the one before it, in (0, 1]; 0.65 to 0.95 are usual for a network trained before.

    Raises:
      InputError: if `factor` is out of its range.

    Example:
      >>> vx.train.decaying_rates(["Conv_0/*", "Conv_1/*", "Dense_0/*"], factor=0.5)
      {'Conv_0/*': 0.25, 'Conv_1/*': 0.5, 'Dense_0/*': 1.0}

    References:
      Howard and Ruder (2018), "Universal Language Model Fine-tuning for Text Classification", section 3.2.
    """
    if not _is_rate(factor) or (not isinstance(factor, jax.Array) and not 0 < factor <= 1):
        raise InputError(f"factor must lie in (0, 1], got {factor!r}.")
    if isinstance(layers, str) or len(set(layers)) != len(layers):
        raise InputError(f"layers must be a list of distinct patterns from input to output, got {layers!r}.")
    return {pattern: factor ** (len(layers) - 1 - place) for place, pattern in enumerate(layers)}


_OTHERS = "\0others"  # no pattern can be called that


def _labels(params: Tree, patterns: Sequence[str], others: bool) -> Tree:
    """Returns for each parameter the first pattern that its path matches."""
    hidden = leaves_by_path(jax.tree.map(_is_hidden, params, is_leaf=_is_hidden))
    paths = list(hidden)
    label = {path: next((each for each in patterns if path_matches(path, [each])), None) for path in paths}
    problems = [_idle(pattern, paths, label) for pattern in patterns if pattern not in label.values()]
    alone = [path for path in paths if label[path] is None and not hidden[path]]
    if alone and not others:
        shown = ", ".join(alone[:SHOWN]) + (f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else "")
        problems.append(
            f"every parameter must have a learning rate, but no pattern matches {shown}. Add a pattern, or pass base=."
        )
    if problems:
        raise InputError("\n".join(problems))
    return jax.tree.map_with_path(lambda path, _: label[path_text(path)] or _OTHERS, params)


def _is_hidden(node: Any) -> bool:
    """Whether another transformation around this one hides a parameter, such as `freeze`: its pattern is not idle."""
    return isinstance(node, optax.MaskedNode)


def _idle(pattern: str, paths: Sequence[str], label: Mapping[str, str | None]) -> str:
    """Says why no parameter is left for a pattern."""
    matching = [path for path in paths if path_matches(path, [pattern])]
    if matching:
        return f"pattern {pattern!r} comes too late: {label[matching[0]]!r} before it matches the same parameters."
    near = difflib.get_close_matches(pattern, paths, n=1, cutoff=0.3)
    known = near[0] if near else ", ".join(paths[:SHOWN])
    return f"pattern {pattern!r} matches no parameter. Paths look like this: {known}."


def _scaled(base: Any, factor: Any) -> Any:
    return (lambda step: factor * base(step)) if callable(base) else factor * base


def _is_rate(value: Any) -> bool:
    """Whether a value is a number of at least 0, or traced: a lane of a study."""
    if isinstance(value, jax.Array):
        return True
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= float(value) < float("inf")
