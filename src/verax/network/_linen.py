"""Flax Linen modules as networks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import jax

from verax.findings import InputError
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
    `model_state`; what a pass only appends to (`sow`) is left out. The random stream `dropout` gets the key, any other
    stream one derived from it.

    Dropout and BatchNorm of Flax can be switched apart even where the module has a single flag, because their calls
    are intercepted; noise of other kinds cannot be switched off without the module's help. A module without state has
    no statistics, so there the key alone decides.

    Args:
      module: an unbound Linen module.
      mode: argument names with their values in training, where detection is wrong: `{"frozen": False}`. An empty
        mapping says that the module has one mode only.
      by_keyword: inputs are a dict of keyword arguments of the module (see `call_with_kwargs`).

    Raises:
      InputError: if the module needs arguments that are neither inputs nor mode; at `init`, if it holds dropout or
        batch statistics and no mode was found.

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
    names = [each for each, _ in (*found.arguments, *fields.arguments)]
    missing = [] if by_keyword else required_beyond_inputs(module.__call__, found)
    if missing:
        raise InputError(
            f"{name}.__call__ needs {', '.join(missing)} besides its inputs. Wrap it with vx.call_with_kwargs(module) "
            "and give the inputs as a dict, or name a mode argument with vx.from_linen(module, mode={...})."
        )
    undetected = mode is None and not names

    def call(inputs: Tree, noise: bool, statistics: bool, variables: Tree | None, mutable: Any, rngs: Any) -> Any:
        """Initialises the module where there are no variables yet, else applies it."""
        bound = module.clone(**fields.values(noise=noise, statistics=statistics)) if fields.arguments else module
        arguments, keywords = ((), dict(inputs)) if by_keyword else ((inputs,), {})
        keywords.update(found.values(noise=noise, statistics=statistics), mutable=mutable)
        with _switched(noise, statistics):
            if variables is None:
                return bound.init(rngs, *arguments, **keywords)
            return bound.apply(variables, *arguments, **keywords, rngs=rngs)

    def evaluate(variables: Tree, inputs: Tree) -> Any:
        return call(inputs, False, False, variables, list(variables), None)

    def init(key: Any, inputs: Tree) -> Variables:
        from flax.core import DenyList
        from flax.errors import InvalidRngError

        keys = {"params": key, "dropout": jax.random.fold_in(key, 1)}  # the weights of `module.init(key, inputs)`
        try:
            variables = dict(call(inputs, True, True, None, DenyList(("intermediates", "perturbations")), keys))
        except ValueError as error:
            if "must be passed to the constructor or at call time" not in str(error):
                raise  # otherwise a Dropout or BatchNorm that was told neither way
            if undetected:
                raise InputError(NO_MODE.format(name=name, what="dropout or batch statistics")) from error
            raise InputError(f"{name}: {error} {_not_handed_on(names)}") from error
        params = variables.pop("params", {})
        if undetected and "batch_stats" in variables:
            raise InputError(NO_MODE.format(name=name, what="batch statistics"))
        if undetected:
            try:
                jax.eval_shape(evaluate, {"params": params, **variables}, inputs)
            except InvalidRngError as error:
                raise InputError(NO_MODE.format(name=name, what="noise that it draws in evaluation too")) from error
        return Variables(params, _lasting(call, params, variables, inputs, keys))

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        from flax.errors import InvalidRngError

        state, noise = variables.model_state, key is not None
        statistics = training if state else noise
        updates = bool(state) and (training or not names)  # a module with one mode updates in any case
        try:
            result = call(
                inputs, noise, statistics, {"params": variables.params, **state},
                list(state) if updates else False, _streams(key) if noise else None,
            )  # fmt: skip
        except InvalidRngError as error:
            if statistics:
                why = "training statistics without noise were asked for, but the module draws noise that Verax cannot "
                raise ValueError(f"{name}: {why}switch off: {error}") from error
            raise ValueError(f"{name} draws noise in evaluation too. {_not_handed_on(names)} {error}") from error
        if not updates:
            return result, state
        outputs, changed = result
        return outputs, {**state, **changed} if training else state

    def rebuild(variables: Variables) -> Any:
        bound = module.clone(**fields.values(noise=False, statistics=False)) if fields.arguments else module
        return bound.bind({"params": variables.params, **variables.model_state})

    return Network(init, apply, library="linen", name=name, rebuild=rebuild)


def _not_handed_on(names: list[str]) -> str:
    if not names:
        return "Give its __call__ an argument such as `training` that reaches every Dropout and BatchNorm."
    return f"Does its argument {' and '.join(names)} reach every Dropout and BatchNorm?"


def _mode_fields(module: Any) -> list[str]:
    """Returns the module's own fields that are a mode: named like one, and a bool or not set."""
    return [name for name in MODE_NAMES if isinstance(getattr(module, name, ...), bool | None)]


def _streams(key: Any) -> dict[str, Any]:
    """Returns the random streams of a pass: `dropout` as a hand-written loop gives it, all others from `params`."""
    return {"dropout": key, "params": jax.random.fold_in(key, 1)}


def _lasting(call: Any, params: Tree, collections: dict[str, Any], inputs: Tree, keys: Any) -> dict[str, Any]:
    """Returns the collections that a training pass updates in place; what a pass only appends to is left out."""
    others = [name for name in collections if name != "batch_stats"]
    if not others:
        return collections

    def update(tree: Tree, inputs: Tree) -> Tree:
        return call(inputs, True, True, tree, list(collections), keys)[1]

    after = jax.eval_shape(update, {"params": params, **collections}, inputs)
    same = [
        name for name in collections if jax.tree.structure(after.get(name)) == jax.tree.structure(collections[name])
    ]
    return {name: collections[name] for name in same}


def _switched(noise: bool, statistics: bool) -> Any:
    """Returns a context in which Flax's Dropout and BatchNorm follow `noise` and `statistics`, whatever the flag says.

    Needed, and entered, only where the two differ.
    """
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
    """Calls a BatchNorm with its running statistics, however it was told to use them or not."""
    args, kwargs = args[:1], {name: value for name, value in kwargs.items() if name != "use_running_average"}
    if module.use_running_average is None:
        return next_function(*args, **kwargs, use_running_average=True)
    chosen = module.use_running_average  # a field and an argument together are refused by Flax: set the field
    object.__setattr__(module, "use_running_average", True)
    try:
        return next_function(*args, **kwargs)
    finally:
        object.__setattr__(module, "use_running_average", chosen)
