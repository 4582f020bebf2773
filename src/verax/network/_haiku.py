"""Haiku transforms as networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verax.network._mode import argument_names, mode_from, mode_of, required_beyond_inputs
from verax.network._network import Network, Variables
from verax.trees import Tree


def from_haiku(transformed: Any, *, mode: Mapping[str, bool] | None = None, by_keyword: bool = False) -> Network:
    """Returns the result of `hk.transform` or `hk.transform_with_state` as a network.

    The mode argument (`is_training`, `training`, ...) is found in the signature of the function that was transformed.
    Haiku has one flag for noise and statistics, so noise with frozen statistics is refused where there are statistics.

    Args:
      transformed: an `hk.Transformed` or `hk.TransformedWithState`.
      mode: argument names with their values in training, where detection is wrong.
      by_keyword: inputs are a dict of keyword arguments (see `call_with_kwargs`).

    Raises:
      ImportError: if Haiku is not installed.
      ValueError: if the function needs arguments that are neither inputs nor mode.
    """
    try:
        import haiku as hk
    except ImportError as error:
        raise ImportError(
            "from_haiku needs dm-haiku, which is not installed. Run: pip install 'verax[haiku]'"
        ) from error

    stateful = transformed if isinstance(transformed, hk.TransformedWithState) else hk.with_empty_state(transformed)
    function = getattr(transformed.apply, "_original_fn", None)  # hk.transform's own note of what was transformed
    name = getattr(function, "__name__", "haiku")
    found = mode_from(mode) if mode is not None else mode_of(argument_names(function) if function else ())
    missing = [] if by_keyword or function is None else required_beyond_inputs(function, found)
    if missing:
        raise ValueError(
            f"{name} needs {', '.join(missing)} besides its inputs. Wrap it with vx.call_with_kwargs(transformed) and give "
            "the inputs as a dict, or name a mode argument with vx.from_haiku(transformed, mode={...})."
        )

    def split(inputs: Tree) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        return ((), inputs) if by_keyword else ((inputs,), {})

    def init(key: Any, inputs: Tree) -> Variables:
        arguments, by_name = split(inputs)
        params, model_state = stateful.init(key, *arguments, **by_name, **found.values(noise=True, statistics=True))
        if model_state and not found.arguments and mode is None:
            raise ValueError(
                f"{name} holds state, but it takes none of `is_training`, `training`, `train`: Verax cannot switch it "
                "between training and evaluation. Add such an argument, or name yours with vx.from_haiku(..., mode={...})."
            )
        return Variables(params, model_state)

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        arguments, by_name = split(inputs)
        noise = key is not None
        if noise and not training and variables.model_state:
            raise ValueError(f"{name} cannot have noise with frozen statistics: Haiku has one flag for both.")
        keywords = found.values(noise=noise, statistics=training)
        try:
            outputs, state = stateful.apply(
                variables.params, variables.model_state, key, *arguments, **by_name, **keywords
            )
        except ValueError as error:
            if key is None and "PRNGKey" in str(error):
                asked = "training statistics without noise" if training else "evaluation"
                raise ValueError(
                    f"{name}: {asked} was asked for, but the function draws random numbers: {error}"
                ) from error
            raise
        return outputs, state if training else variables.model_state

    return Network(init, apply, library="haiku", name=name)
