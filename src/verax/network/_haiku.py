"""Haiku transforms as networks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import jax

from verax.findings import InputError
from verax.network._mode import argument_names, mode_from, mode_of, required_beyond_inputs
from verax.network._network import Network, Variables
from verax.trees import Tree

NO_MODE = (
    "{name} {what}, but it takes none of `is_training`, `training`, `train`: Verax cannot switch it between training "
    "and evaluation. Add such an argument, or name yours with vx.from_haiku(transformed, mode={{...}})."
)


def from_haiku(transformed: Any, *, mode: Mapping[str, bool] | None = None, by_keyword: bool = False) -> Network:
    """Returns the result of `hk.transform` or `hk.transform_with_state` as a network.

    The mode argument (`is_training`, `training`, ...) is found in the signature of the function that was transformed.
    Without state the key alone decides. Haiku has one flag for noise and statistics: for noise with frozen statistics
    the calls of `hk.BatchNorm` are intercepted, and a function with state of another kind refuses it; statistics
    without noise are refused by a function that draws random numbers.

    Args:
      transformed: an `hk.Transformed` or `hk.TransformedWithState`.
      mode: argument names with their values in training, where detection is wrong; empty if it has one mode only.
      by_keyword: inputs are a dict of keyword arguments (see `call_with_kwargs`).

    Raises:
      ImportError: if Haiku is not installed.
      InputError: if the function needs arguments that are neither inputs nor mode, or the key was taken off; at `init`,
        if it holds state or draws noise and no mode was found.

    Example:
      >>> import haiku as hk
      >>> network = from_haiku(hk.transform(lambda x: hk.Linear(3)(x)))
      >>> variables = network.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> network.apply(variables, jnp.ones((5, 4)))[0].shape
      (5, 3)
    """
    try:
        import haiku as hk
    except ImportError as error:
        raise ImportError(
            "from_haiku needs dm-haiku, which is not installed. Run: pip install 'verax[haiku]'"
        ) from error

    if "rng" not in inspect.signature(transformed.apply).parameters:
        raise InputError("the transform must take a random key. Pass it as it was before hk.without_apply_rng.")
    stateful = transformed if isinstance(transformed, hk.TransformedWithState) else hk.with_empty_state(transformed)
    function = getattr(transformed.apply, "_original_fn", None)  # hk.transform's own note of what was transformed
    name = getattr(function, "__name__", "haiku")
    found = mode_from(mode) if mode is not None else mode_of(argument_names(function) if function else ())
    missing = [] if by_keyword or function is None else required_beyond_inputs(function, found)
    if missing:
        raise InputError(
            f"{name} needs {', '.join(missing)} besides its inputs. Wrap it with vx.call_with_kwargs(transformed) and "
            "give the inputs as a dict, or name a mode argument with vx.from_haiku(transformed, mode={...})."
        )
    undetected = mode is None and not found.arguments

    def call(variables: Variables, inputs: Tree, key: Any, noise: bool, statistics: bool) -> tuple[Tree, Tree]:
        keywords = found.values(noise=noise, statistics=statistics)
        arguments, by_name = ((), inputs) if by_keyword else ((inputs,), {})
        with _frozen_statistics() if noise and not statistics else nullcontext():
            return stateful.apply(variables.params, variables.model_state, key, *arguments, **by_name, **keywords)

    def init(key: Any, inputs: Tree) -> Variables:
        keywords = found.values(noise=True, statistics=True)
        arguments, by_name = ((), inputs) if by_keyword else ((inputs,), {})
        variables = Variables(*stateful.init(key, *arguments, **by_name, **keywords))
        if undetected and variables.model_state:
            raise InputError(NO_MODE.format(name=name, what="holds state"))
        if undetected:
            try:
                jax.eval_shape(lambda variables, inputs: call(variables, inputs, None, False, False), variables, inputs)
            except ValueError as error:
                if not _needs_key(error):
                    raise
                raise InputError(NO_MODE.format(name=name, what="draws noise in evaluation too")) from error
        return variables

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        noise = key is not None
        statistics = training if variables.model_state else noise
        try:
            outputs, state = call(variables, inputs, key, noise, statistics)
        except ValueError as error:
            if noise or not _needs_key(error):
                raise
            asked = "training statistics without noise were" if statistics else "evaluation was"
            raise ValueError(f"{name}: {asked} asked for, but the function draws random numbers: {error}") from error
        before, after = jax.tree.leaves(variables.model_state), jax.tree.leaves(state)
        if noise and not statistics and any(old is not new for old, new in zip(before, after, strict=True)):
            raise ValueError(
                f"{name} cannot have noise with frozen statistics: Haiku has one flag for both, and this function has "
                "state that is not of hk.BatchNorm."
            )
        return outputs, state if training else variables.model_state

    return Network(init, apply, library="haiku", name=name)


def _frozen_statistics() -> Any:
    """Returns a context in which every `hk.BatchNorm` uses its running statistics, however it is called."""
    import haiku as hk

    def intercept(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if not isinstance(context.module, hk.BatchNorm) or context.method_name != "__call__":
            return next_function(*args, **kwargs)
        given = inspect.signature(context.orig_method).bind(*args, **kwargs)
        given.arguments["is_training"] = False
        return next_function(*given.args, **given.kwargs)

    return hk.intercept_methods(intercept)


def _needs_key(error: ValueError) -> bool:
    return type(error).__name__ == "MissingRNGError"
