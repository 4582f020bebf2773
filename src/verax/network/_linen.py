"""Flax Linen modules as networks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import jax

from verax.network._mode import MODE_NAMES, Mode, argument_names, mode_from, mode_of, required_beyond_inputs
from verax.network._network import Network, Variables
from verax.trees import Tree

NO_MODE = (
    "{name} holds {what}, but its __call__ takes none of `training`, `train`, `is_training`, `deterministic`, "
    "`use_running_average`: Verax cannot switch it between training and evaluation. Add such an argument, name yours "
    "with vx.from_linen(module, mode={{'argument': value in training}}), or pass mode={{}} if it has only one mode."
)


def from_linen(module: Any, *, mode: Mapping[str, bool] | None = None, by_keyword: bool = False) -> Network:
    """Returns a Flax Linen module as a network.

    The mode argument is found in the signature of `__call__` (or among the module's fields): `training`, `train`,
    `is_training`, `deterministic`, `use_running_average`. All mutable collections (batch statistics) are carried as
    `model_state`. The random stream `dropout` gets the key, any other stream one derived from it.

    Dropout and BatchNorm of Flax can be switched apart even where the module has a single flag, because their calls
    are intercepted; noise of other kinds cannot be switched off without the module's help.

    Args:
      module: an unbound Linen module.
      mode: argument names with their values in training, where detection is wrong: `{"frozen": False}`. An empty
        mapping says that the module has one mode only.
      by_keyword: inputs are a dict of keyword arguments of the module (see `call_with_kwargs`).

    Raises:
      ValueError: if the module needs arguments that are neither inputs nor mode.

    Example:
      >>> from flax import linen as nn
      >>> network = from_linen(nn.Dense(3))
      >>> variables = network.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> outputs, model_state = network.apply(variables, jnp.ones((5, 4)))
      >>> outputs.shape
      (5, 3)
    """
    name = type(module).__name__
    found = mode_of(argument_names(module.__call__)) if mode is None else mode_from(mode)
    fields = Mode() if found.arguments or mode is not None else mode_of(_mode_fields(module))
    missing = [] if by_keyword else required_beyond_inputs(module.__call__, found)
    if missing:
        raise ValueError(
            f"{name}.__call__ needs {', '.join(missing)} besides its inputs. Wrap it with vx.call_with_kwargs(module) and "
            "give the inputs as a dict, or name a mode argument with vx.from_linen(module, mode={...})."
        )
    declared = mode is not None

    def call(variables: Tree, inputs: Tree, noise: bool, statistics: bool, mutable: Any, rngs: Any) -> Any:
        bound = module.clone(**fields.values(noise=noise, statistics=statistics)) if fields.arguments else module
        keywords = found.values(noise=noise, statistics=statistics)
        arguments, inputs_by_name = ((), inputs) if by_keyword else ((inputs,), {})
        with _switched(noise, statistics):
            return bound.apply(variables, *arguments, **inputs_by_name, **keywords, mutable=mutable, rngs=rngs)

    def init(key: Any, inputs: Tree) -> Variables:
        from flax.core import DenyList

        keys = _streams(key)
        everything = DenyList(("intermediates", "perturbations"))
        _, variables = call({}, inputs, True, True, everything, keys)
        variables = dict(variables)
        params = variables.pop("params", {})
        if "batch_stats" in variables and not declared and not found.arguments and not fields.arguments:
            raise ValueError(NO_MODE.format(name=name, what="batch statistics"))
        return Variables(params, _lasting(call, params, variables, inputs, keys))

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        from flax.errors import InvalidRngError

        tree = {"params": variables.params, **variables.model_state}
        noise = key is not None
        mutable = list(variables.model_state) if training and variables.model_state else False
        try:
            result = call(tree, inputs, noise, training, mutable, _streams(key) if noise else None)
        except InvalidRngError as error:
            if training:
                why = "training statistics without noise were asked for, but the module draws noise that Verax cannot switch off"
                raise ValueError(f"{name}: {why}: {error}") from error
            raise ValueError(NO_MODE.format(name=name, what="noise that it draws in evaluation too")) from error
        if mutable is False:
            return result, variables.model_state
        outputs, model_state = result
        return outputs, {**variables.model_state, **model_state}

    return Network(init, apply, library="linen", name=name)


def _mode_fields(module: Any) -> list[str]:
    """Returns the module's own fields that are a mode: named like one, and a bool or not set."""
    return [name for name in MODE_NAMES if isinstance(getattr(module, name, ...), bool | None)]


def _streams(key: Any) -> dict[str, Any]:
    """Returns the random streams of a pass: `dropout` as a hand-written loop gives it; Flax draws all others from `params`."""
    return {"dropout": key, "params": jax.random.fold_in(key, 1)}


def _lasting(call: Any, params: Tree, collections: dict[str, Any], inputs: Tree, keys: Any) -> dict[str, Any]:
    """Returns the collections that a training pass updates in place; what a pass only appends to (`sow`) is left out."""
    others = [name for name in collections if name != "batch_stats"]
    if not others:
        return collections

    def update(tree: Tree, inputs: Tree) -> Tree:
        return call(tree, inputs, True, True, list(collections), keys)[1]

    after = jax.eval_shape(update, {"params": params, **collections}, inputs)
    same = [
        name for name in collections if jax.tree.structure(after.get(name)) == jax.tree.structure(collections[name])
    ]
    return {name: collections[name] for name in same}


def _switched(noise: bool, statistics: bool) -> Any:
    """Returns a context in which Flax's Dropout and BatchNorm follow `noise` and `statistics`, whatever the flag says."""
    if noise == statistics:
        return nullcontext()
    from flax import linen as nn

    def intercept(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name != "__call__":
            return next_function(*args, **kwargs)
        if isinstance(context.module, nn.Dropout) and not noise:
            return args[0] if args else kwargs["inputs"]
        if isinstance(context.module, nn.BatchNorm) and not statistics:
            return _with_running_average(context.module, next_function, args, kwargs)
        return next_function(*args, **kwargs)

    return nn.intercept_methods(intercept)


def _with_running_average(module: Any, next_function: Any, args: Any, kwargs: Any) -> Any:
    if module.use_running_average is None:
        return next_function(*args, **{**kwargs, "use_running_average": True})
    chosen = module.use_running_average  # a field and an argument together are refused by Flax: set the field
    object.__setattr__(module, "use_running_average", True)
    try:
        return next_function(*args, **{name: value for name, value in kwargs.items() if name != "use_running_average"})
    finally:
        object.__setattr__(module, "use_running_average", chosen)
