"""Weights from elsewhere in the place of those that were drawn: a run, a file, or a tree of another library."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import load
from verax.findings import InputError
from verax.network import Variables, as_network
from verax.train._experiment import Experiment
from verax.train._freeze import path_matches
from verax.train._keys import base_key, init_key
from verax.train._transfer_source import source_leaves, variables_by_path
from verax.trees import host, shape_text

Target = str | Callable[[re.Match[str]], str] | None
SHOWN = 12  # lines of one error


@dataclass(frozen=True, eq=False)
class Transfer:
    """Variables of a network, some of them taken from elsewhere; give it to training as `initial=`.

    Attributes:
      variables: all of them.
      taken: names in the source by the paths they went to.
      new: paths that stayed as they were drawn.
      unused: names in the source that went nowhere.
    """

    variables: Variables = field(repr=False)
    taken: Mapping[str, str]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.taken)} taken, {len(self.new)} new, {len(self.unused)} unused"]
        lines += [f"  {path} <- {name}" if name != path else f"  {path}" for path, name in self.taken.items()]
        lines += [f"  {path}: new" for path in self.new] + [f"  {name}: unused" for name in self.unused]
        return "\n".join(lines)


def transfer(
    source: Any,
    template: Any,
    *,
    paths: Mapping[str | re.Pattern[str], Target] | None = None,
    transforms: Mapping[str, Callable[[np.ndarray], Any] | tuple[int, ...]] | None = None,
    new: Sequence[str] = (),
    strict: bool = True,
) -> Transfer:
    """Returns a network's variables with weights from elsewhere in them, and what came of every leaf.

    Parameters are named by their paths, `Dense_0/kernel`; what the network updates (running statistics) stands below
    `model_state/`. A source's leaf goes where the first pattern of `paths` sends it, else to the path of its own name.
    Floats take the dtype of the leaf that they replace; shapes must be equal.

    Args:
      source: a run, `Variables` or anything with `.variables`; the path of a run's folder (its final state), of a state
        that `save_state` wrote (`runs/a/checkpoints/best`) or of a `.safetensors` file; or any tree of arrays, such as
        a dict by name. No code of a run's folder is executed.
      template: the network's variables, anything with `.variables`, or an `Experiment`, whose weights are drawn by its
        own seed.
      paths: from patterns of names in the source to paths. In a text, each `*` of the pattern stands for any text and
        is put for the `*` of the path, in order: `{"layers.*.weight": "Dense_*/kernel"}`. A compiled regular expression
        takes a template (`r"Dense_\\1/kernel"`) or a function of the match. None leaves the leaf out.
      transforms: by patterns of names in the source, what is done to an array: a function, or the order of its axes.
        `(2, 3, 1, 0)` turns a convolution kernel of PyTorch into Flax's, `(1, 0)` a dense one.
      new: patterns of paths that stay as they were drawn, such as a new head, whatever the source has for them.
      strict: refuse leaves that nothing was said about: those of the template that the source lacks, and those of the
        source that go nowhere. With False they are only listed.

    Raises:
      InputError: if the source cannot be read; naming every shape that does not fit (both shapes), every path that two
        leaves go to, every pattern that matches nothing; with `strict`, every leaf that is left over.

    Example:
      >>> drawn = vx.Variables({"Dense_0": {"kernel": jnp.zeros((2, 3))}, "head": {"kernel": jnp.ones((3, 1))}}, {})
      >>> torch = {"fc.0.weight": np.arange(6.0, dtype=np.float32).reshape(3, 2)}
      >>> print(vx.train.transfer(torch, drawn, paths={"fc.*.weight": "Dense_*/kernel"},
      ...                         transforms={"fc.*": (1, 0)}, new=["head"]))
      1 taken, 1 new, 0 unused
        Dense_0/kernel <- fc.0.weight
        head/kernel: new
    """
    named, drawn = _arrays(source_leaves(source)), _template(template)
    names = _arrays(variables_by_path(drawn))
    sent, idle = _sent(named, paths or {})
    problems = [f"paths: {each!r} matches no name in the source. {_known(named)}" for each in idle]
    for pattern in [*new, *(transforms or {})]:
        known = names if pattern in new else named
        if not any(path_matches(name, [pattern]) for name in known):
            part = "new" if pattern in new else "transforms"
            problems.append(f"{part}: {pattern!r} matches nothing. {_known(known)}")
    wanted = {path for path in names if not path_matches(path, new)}
    kept_out = {path for path in names if path not in wanted}
    taken: dict[str, str] = {}
    for name, path in sent.items():
        if path in wanted:
            if path in taken:
                problems.append(
                    f"{path}: both {taken[path]} and {name} go there. Send one of them elsewhere, or to None."
                )
            taken[path] = name
    arrays = {path: _transformed(name, named[name], transforms or {}) for path, name in taken.items()}
    fitted = {}
    for path, array in arrays.items():
        problem = _misfit(path, taken[path], array, named[taken[path]], names[path])
        if problem:
            problems.append(problem)
        else:
            fitted[path] = jnp.asarray(array, names[path].dtype)
    left = tuple(path for path in names if path not in taken)
    unused = tuple(
        name for name, path in sent.items() if path is not None and path not in wanted and path not in kept_out
    )
    if strict:
        problems += [
            f"{path}: the source has nothing for it. Add it to new, or to paths." for path in left if path in wanted
        ]
        problems += [
            f"{name}: goes to {sent[name]}, which the network does not have. Map it, or send it to None."
            for name in unused
        ]
    if problems:
        shown = problems[:SHOWN] + ([f"and {len(problems) - SHOWN} more like these"] if len(problems) > SHOWN else [])
        raise InputError("the source does not fit the network:\n" + "\n".join(f"  {line}" for line in shown))
    return Transfer(_with(drawn, fitted), {path: taken[path] for path in names if path in taken}, left, unused)


def _template(template: Any) -> Variables:
    if isinstance(template, Experiment):
        network, dataset = as_network(template.network), load(template.data)
        inputs = jax.tree.map(lambda leaf: leaf[: template.batch_size], dataset.examples("train").inputs)
        return jax.jit(network.init)(init_key(base_key(template.seed)), inputs)
    found = template if isinstance(template, Variables) else getattr(template, "variables", None)
    if not isinstance(found, Variables):
        raise InputError(f"template must be vx.Variables, a run or an Experiment, got {type(template).__name__}.")
    return found


def _arrays(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the leaves without random keys (streams of noise): a network keeps its own."""
    return {name: leaf for name, leaf in leaves.items() if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)}


def _with(variables: Variables, changed: Mapping[str, Any]) -> Variables:
    """Returns the variables with some leaves replaced, by path."""
    leaves, structure = jax.tree.flatten(variables)
    names = variables_by_path(variables)
    return jax.tree.unflatten(
        structure, [changed.get(name, leaf) for name, leaf in zip(names, leaves, strict=True)]
    )  # fmt: skip


def _sent(
    named: Mapping[str, Any], paths: Mapping[str | re.Pattern[str], Target]
) -> tuple[dict[str, str | None], list[str]]:
    """Returns where every leaf goes, None for nowhere, and the patterns that match no leaf."""
    sent: dict[str, str | None] = {}
    used = set()
    for name in named:
        sent[name] = name
        for pattern, target in paths.items():
            match = _glob(pattern).fullmatch(name) if isinstance(pattern, str) else pattern.fullmatch(name)
            if match is not None:
                used.add(pattern)
                sent[name] = _target(match, pattern, target)
                break
    return sent, [each if isinstance(each, str) else each.pattern for each in paths if each not in used]


def _glob(pattern: str) -> re.Pattern[str]:
    """Returns the pattern as an expression in which each `*` is a group."""
    return re.compile("(.*)".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def _target(match: re.Match[str], pattern: str | re.Pattern[str], target: Target) -> str | None:
    if target is None:
        return None
    if callable(target):
        return target(match)
    if not isinstance(pattern, str):
        return match.expand(target)
    parts = target.split("*")
    if len(parts) - 1 not in (0, len(match.groups())):
        raise InputError(
            f"paths: {target!r} must have as many * as {pattern!r}, {len(match.groups())}, found {len(parts) - 1}. "
            "Take a regular expression for other orders: re.compile(...)."
        )
    return parts[0] + "".join(text + part for text, part in zip(match.groups(), parts[1:], strict=False))


def _transformed(name: str, leaf: Any, transforms: Mapping[str, Any]) -> np.ndarray:
    """Returns an array as the first transform whose pattern matches its name makes it."""
    array = host(leaf)
    change = next((change for pattern, change in transforms.items() if path_matches(name, [pattern])), None)
    if change is None:
        return array
    if callable(change):
        return np.asarray(change(array))
    if sorted(change) != list(range(array.ndim)):
        raise InputError(
            f"transforms: {name} has shape {array.shape}, so the order of its axes must name {array.ndim} of them, got "
            f"{tuple(change)}."
        )
    return np.transpose(array, change)


def _misfit(path: str, name: str, array: np.ndarray, leaf: Any, expected: Any) -> str | None:
    """Says why an array cannot stand in a place, or None."""
    origin = "" if name == path else f" from {name}"
    if array.shape != tuple(np.shape(expected)):
        turned = f" (before its transform {tuple(leaf.shape)})" if array.shape != tuple(leaf.shape) else ""
        return f"{path}: expected shape {tuple(np.shape(expected))}, found {array.shape}{origin}{turned}."
    floats = [jnp.issubdtype(each.dtype, jnp.floating) for each in (array, expected)]
    if floats != [True, True] and array.dtype != expected.dtype:
        return f"{path}: expected {shape_text(expected)}, found {shape_text(array)}{origin}."
    return None


def _known(names: Mapping[str, Any]) -> str:
    shown = ", ".join(list(names)[: SHOWN // 2]) + (", ..." if len(names) > SHOWN // 2 else "")
    return f"They are: {shown}."
