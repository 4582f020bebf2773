"""A bare pair of functions as a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from verax.network._mode import argument_names, mode_of
from verax.network._network import Network, Variables
from verax.trees import Tree


def from_functions(init: Callable[..., Tree], apply: Callable[..., Tree], *, name: str = "functions") -> Network:
    """Returns a stateless pair `init(key, inputs) -> params` and `apply(params, inputs[, training][, key]) -> outputs`.

    The optional arguments of `apply` are found by name: a mode as in `from_linen`, and `key` or `rng` for the random key.

    Raises:
      ValueError: if `init` or `apply` needs other arguments.

    Example:
      >>> network = from_functions(lambda key, x: {"w": jnp.ones(x.shape[1:])}, lambda params, x: x @ params["w"])
      >>> network.apply(network.init(jax.random.key(0), jnp.ones((2, 3))), jnp.ones((2, 3)))[0].tolist()
      [3.0, 3.0]
    """
    names = argument_names(apply)
    mode = mode_of(names)
    key_name = next((each for each in ("key", "rng", "dropout_key") if each in names), None)
    known = {key_name, *(each for each, _ in mode.arguments)}
    required = [
        each.name
        for each in inspect.signature(apply).parameters.values()
        if each.default is inspect.Parameter.empty
        and each.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        and each.name not in known
    ]
    if len(required) > 2:
        raise ValueError(
            f"apply must take (params, inputs[, training][, key]), found it also needs {', '.join(required[2:])}. "
            "Bind them with functools.partial, or wrap the functions with vx.Network(...)."
        )

    def init_variables(key: Any, inputs: Tree) -> Variables:
        return Variables(init(key, inputs), {})

    def apply_variables(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        # No state, so only noise distinguishes the modes.
        keywords: dict[str, Any] = dict(mode.values(noise=key is not None, statistics=key is not None))
        if key_name:
            keywords[key_name] = key
        return apply(variables.params, inputs, **keywords), variables.model_state

    return Network(init_variables, apply_variables, library="functions", name=name)
