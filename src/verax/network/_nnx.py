"""Flax NNX modules as networks: split once, merged into a fresh copy inside every pure call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from verax.findings import InputError
from verax.network._constructor import check_constructor, construct, constructor_name
from verax.network._mode import Mode, argument_names, mode_from, mode_of, required_beyond_inputs
from verax.network._network import Network, Variables
from verax.network._silent import silent_key
from verax.trees import Tree

NO_MODE = (
    "{name} holds batch statistics in {place}, which has neither `use_running_average` nor `deterministic` and whose "
    "model takes no mode argument: Verax cannot switch it between training and evaluation. Add such an attribute, name "
    "your argument with vx.from_nnx(module, mode={{'argument': value in training}}), or pass mode={{}} if it has only "
    "one mode."
)
SWITCHES = ("deterministic", "use_running_average", "training", "is_training")


def from_nnx(module: Any, *, mode: Mapping[str, bool] | None = None, by_keyword: bool = False) -> Network:
    """Returns a Flax NNX module, or what makes one, as a network.

    **Initial weights.** A constructor gives weights drawn from the run's seed, those of
    `constructor(rngs=nnx.Rngs(key))` bit for bit. A module that was made already gives the weights that it holds,
    whatever the seed; seeds then differ in noise and order of the data only. The module given is never changed.

    `nnx.Param` variables are trained; all others but random streams (batch statistics, caches, raw arrays) are carried
    as `model_state`. Every random stream starts anew from the key of each pass, so no mask repeats. The mode is set as
    `train()` and `eval()` set it, with `deterministic` for noise and `use_running_average` for statistics, so the two
    can be had apart; an argument of `__call__` such as `training` is found as in `from_linen`.

    Args:
      module: an `nnx.Module`; or a class, `functools.partial` or function that makes one when called with `rngs`.
      mode: argument names of `__call__` with their values in training, where detection is wrong; empty if it has one
        mode only.
      by_keyword: inputs are a dict of keyword arguments of the module (see `call_with_kwargs`).

    Raises:
      InputError: if the constructor needs more than `rngs`, or the module needs arguments that are neither inputs nor
        mode; at `init`, if it holds batch statistics that nothing switches.

    Example:
      >>> from flax import nnx
      >>> network = from_nnx(functools.partial(nnx.Linear, 4, 3))
      >>> variables = network.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> sorted(variables.params), network.apply(variables, jnp.ones((5, 4)))[0].shape
      (['bias', 'kernel'], (5, 3))
    """
    from flax import nnx

    made = isinstance(module, nnx.Module)
    name = type(module).__name__ if made else constructor_name(module)
    if not made:
        check_constructor(module, "rngs", adapter="from_nnx", example="functools.partial(MLP, 784, 128)")
    ready = _split(nnx.clone(module), name) if made else None
    if ready is not None:
        _mode_of_call(ready.call, name, mode, by_keyword)  # what can be said before the first use

    @functools.cache
    def structure() -> _Parts:
        """What does not depend on the weights; a constructor is traced for it, once."""
        kept: list[_Parts] = []

        def build(key: Any) -> Any:
            kept.append(_split(_construct(module, key), name))
            return kept[0].states

        if ready is not None:
            return ready
        states = jax.eval_shape(build, jax.random.key(0))
        return kept[0]._replace(states=states)

    @functools.cache
    def detected() -> Mode:
        return _mode_of_call(structure().call, name, mode, by_keyword)

    def merged(variables: Variables, key: Any) -> Any:
        params, state, streams = structure().states
        filled = (_filled(params, variables.params), _filled(state, variables.model_state), _keyed(streams, key))
        return nnx.merge(structure().graphdef, *filled, copy=True)

    def init(key: Any, inputs: Tree) -> Variables:
        parts = structure() if ready is not None else _split(_construct(module, key), name)
        if mode is None and not detected().arguments:
            place = _without_switch(parts)
            if place is not None:
                raise InputError(NO_MODE.format(name=name, place=place))
        params, state, _ = (nnx.to_pure_dict(each) for each in parts.states)
        return Variables(params, state)

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        noise = key is not None
        statistics = training if variables.model_state else noise
        found, passed = detected(), merged(variables, silent_key(name) if key is None else key)
        _switch(passed, noise, statistics, by_argument=bool(found.arguments))
        keywords: dict[str, Any] = dict(found.values(noise=noise, statistics=statistics))
        if "rngs" in argument_names(structure().call):
            keywords["rngs"] = nnx.Rngs(jax.random.fold_in(silent_key(name) if key is None else key, 2**31))
        outputs = passed(**inputs, **keywords) if by_keyword else passed(inputs, **keywords)
        changed = nnx.to_pure_dict(_split(passed, name).states[1])
        kept = _of_structure(variables.model_state, changed, name)
        if found.arguments and noise and not statistics and _moved(variables.model_state, kept):
            raise ValueError(
                f"{name} cannot have noise with frozen statistics: its argument {found.arguments[0][0]} switches both."
            )
        return outputs, kept if training else variables.model_state

    def rebuild(variables: Variables) -> Any:
        module = merged(variables, jax.random.key(0))
        module.eval()
        return module

    return Network(init, apply, library="nnx", name=name, rebuild=rebuild)


class _Parts(NamedTuple):
    """A module taken apart: its structure, its variables as (params, model state, random streams), its `__call__`."""

    graphdef: Any
    states: tuple[Any, Any, Any]
    call: Callable[..., Any]
    module: Any


def _split(module: Any, name: str) -> _Parts:
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise InputError(f"{name} must give an nnx.Module, got {type(module).__name__}.")
    if not callable(module):
        raise InputError(f"{name} must have a method __call__(self, inputs), and has none.")
    nnx.pop(module, (nnx.Intermediate, nnx.Perturbation))  # what a pass only appends to
    graphdef, params, streams, state = nnx.split(module, nnx.Param, nnx.RngState, ...)
    return _Parts(graphdef, (params, state, streams), type(module).__call__, module)


def _construct(constructor: Callable[..., Any], key: Any) -> Any:
    """Returns the module that a constructor makes from a key; may be traced."""
    from flax import nnx

    module = construct(constructor, "rngs", nnx.Rngs(key))
    for _, part in nnx.iter_modules(module) if isinstance(module, nnx.Module) else ():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tracer):  # Flax takes a raw array for static where it is traced
                setattr(part, name, nnx.data(value))
    return module


def _mode_of_call(call: Callable[..., Any], name: str, mode: Mapping[str, bool] | None, by_keyword: bool) -> Mode:
    found = mode_of(argument_names(call)) if mode is None else mode_from(mode)
    missing = [] if by_keyword else [each for each in required_beyond_inputs(call, found) if each != "rngs"]
    if missing:
        raise InputError(
            f"{name}.__call__ needs {', '.join(missing)} besides its inputs. Wrap it with vx.call_with_kwargs(module) "
            "and give the inputs as a dict, or name a mode argument with vx.from_nnx(module, mode={...})."
        )
    return found


def _filled(state: Any, values: Tree) -> Any:
    """Returns a state of variables with other values: a pure dict has the leaves of its state in the same order."""
    return jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(values))


def _keyed(streams: Any, key: Any) -> Any:
    """Returns the random streams of a pass: each with a key of its own, and its count at zero."""

    def fresh(number: int, leaf: Any) -> Any:
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.zeros(leaf.shape, leaf.dtype)
        own = jax.random.fold_in(key, number)
        return jax.random.split(own, leaf.shape) if leaf.shape else own

    leaves, structure = jax.tree.flatten(streams)
    return jax.tree.unflatten(structure, [fresh(number, leaf) for number, leaf in enumerate(leaves)])


def _switch(module: Any, noise: bool, statistics: bool, *, by_argument: bool) -> None:
    """Sets the mode of a module that is ours to change.

    Where an argument of `__call__` switches both noise and statistics, and they differ, the layers of Flax are told to
    do as asked whatever they are called with.
    """
    from flax import nnx

    (module.train if noise or statistics else module.eval)()
    module.set_attributes(deterministic=not noise, use_running_average=not statistics, raise_if_not_found=False)
    for _, part in nnx.iter_modules(module):
        for name in ("training", "is_training"):
            if isinstance(getattr(part, name, None), bool):
                setattr(part, name, noise or statistics)
        if not by_argument or noise == statistics:
            continue
        if not noise and isinstance(part, nnx.Dropout):
            part.rate = 0.0
        if not noise and isinstance(part, nnx.MultiHeadAttention):
            part.dropout_rate = 0.0
        if not statistics and isinstance(part, nnx.BatchNorm):
            part.__class__ = _with_running_average(type(part))


@functools.cache
def _with_running_average(norm: type) -> type:
    """Returns a BatchNorm that uses its running statistics however it is called."""

    def call(self: Any, x: Any, use_running_average: bool | None = None, **keywords: Any) -> Any:
        return norm.__call__(self, x, use_running_average=True, **keywords)

    return type(norm.__name__, (norm,), {"__call__": call})


def _without_switch(parts: _Parts) -> str | None:
    """Returns the path of a module that holds batch statistics which nothing switches; None if there is none."""
    from flax import nnx

    for path, part in nnx.iter_modules(parts.module):
        holds = any(isinstance(value, nnx.BatchStat) for value in vars(part).values())
        switched = any(hasattr(part, name) for name in SWITCHES) or type(part).train is not nnx.Module.train
        if holds and not switched:
            return "/".join(map(str, path)) or "itself"
    return None


def _of_structure(expected: Tree, found: Tree, name: str) -> Tree:
    """Returns the state after a pass in the structure that it had before: what a pass adds is left out."""
    if jax.tree.structure(expected) == jax.tree.structure(found):
        return found
    after = dict(jax.tree.leaves_with_path(found))
    paths = [path for path, _ in jax.tree.leaves_with_path(expected)]
    gone = [jax.tree_util.keystr(path, simple=True, separator="/") for path in paths if path not in after]
    if gone:
        raise ValueError(f"{name} loses {', '.join(gone)} of its state during a pass. Keep its variables in place.")
    return jax.tree.unflatten(jax.tree.structure(expected), [after[path] for path in paths])


def _moved(before: Tree, after: Tree) -> bool:
    return any(a is not b for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))
