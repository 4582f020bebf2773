"""A bare pair of functions as a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from verax.findings import InputError
from verax.network._mode import argument_names, mode_of
from verax.network._network import Network, Variables
from verax.trees import Tree


def from_functions(init: Callable[..., Tree], apply: Callable[..., Tree], *, name: str = "functions") -> Network:
    """Returns a pair of functions without state as a network.

    Args:
      init: `init(key, inputs) -> params`.
      apply: `apply(params, inputs[, training][, key]) -> outputs`. The optional arguments are found by name: a mode as
        in `from_linen`, and `key`, `rng` or `dropout_key` for the random key, which is None in evaluation.
      name: for reports.

    Raises:
      InputError: if `init` or `apply` needs other arguments.

    Example:
      >>> network = from_functions(lambda key, x: {"w": jnp.ones(x.shape[1:])}, lambda params, x: x @ params["w"])
      >>> network.apply(network.init(jax.random.key(0), jnp.ones((2, 3))), jnp.ones((2, 3)))[0].tolist()
      [3.0, 3.0]
    """
    names = argument_names(apply)
    mode = mode_of(names)
    key_name = next((each for each in ("key", "rng", "dropout_key") if each in names), None)
    taken = [name for name in (key_name, *(each for each, _ in mode.arguments)) if name]
    _check_call("init", "(key, inputs)", init, {})
    _check_call("apply", "(params, inputs[, training][, key])", apply, dict.fromkeys(taken))

    def init_variables(key: Any, inputs: Tree) -> Variables:
        return Variables(init(key, inputs), {})

    def apply_variables(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        # No state, so only noise distinguishes the modes.
        keywords: dict[str, Any] = dict(mode.values(noise=key is not None, statistics=key is not None))
        if key_name:
            keywords[key_name] = key
        return apply(variables.params, inputs, **keywords), variables.model_state

    return Network(init_variables, apply_variables, library="functions", name=name)


def _check_call(what: str, expected: str, function: Callable[..., Any], keywords: dict[str, Any]) -> None:
    try:
        inspect.signature(function).bind(None, None, **keywords)
    except TypeError as error:
        raise InputError(
            f"{what} must take {expected}, got {inspect.signature(function)}: {error}. "
            "Bind other arguments with functools.partial, or wrap the functions with vx.Network(init, apply_fn)."
        ) from error
