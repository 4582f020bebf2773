"""Equinox modules as networks: one example at a time, mapped over the batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from verax.findings import InputError
from verax.network._constructor import check_constructor, constructor_name
from verax.network._equinox_parts import Parts, constructed, flat, is_array, nested, split, stateful, with_state
from verax.network._mode import Mode, argument_names, mode_from, mode_of, required_beyond_inputs
from verax.network._network import Network, Variables
from verax.trees import Tree, path_text

NO_MODE = (
    "{name} holds state in {place}, which has no field `inference`, and takes no mode argument: Verax cannot switch it "
    "between training and evaluation. Add such a field, name your argument with "
    "vx.from_equinox(module, mode={{'argument': value in training}}), or pass mode={{}} if it has only one mode."
)


def from_equinox(
    module: Any,
    *,
    state: Any = None,
    mode: Mapping[str, bool] | None = None,
    by_keyword: bool = False,
    batched: bool = False,
    axis_name: str | None = None,
) -> Network:
    """Returns an Equinox module, or what makes one, as a network.

    **Initial weights.** A constructor gives weights drawn from the run's seed, those of `constructor(key=key)` bit for
    bit. A module that was made already gives the weights that it holds, whatever the seed; seeds then differ in noise
    and order of the data only.

    A module takes one example, so it is mapped over the batch with `jax.vmap`; a module that takes a `key` gets one for
    each example. Floating-point arrays are trained. The state of stateful layers and arrays of integers are carried as
    `model_state`; everything else is static. Fields `inference` are set as `eqx.nn.inference_mode` sets them, those of
    stateful layers for the statistics and all others for the noise, so the two can be had apart.

    Args:
      module: an `eqx.Module`; or a class, `functools.partial` or function that makes one when called with `key`, such
        as `functools.partial(eqx.nn.MLP, 64, 10, 128, 2)`. What it makes may hold state, or be a pair with its state.
      state: the `eqx.nn.State` of a module that was made with `eqx.nn.make_with_state`.
      mode: argument names of `__call__` with their values in training, where detection is wrong; empty if it has one
        mode only.
      by_keyword: inputs are a dict of keyword arguments of the module (see `call_with_kwargs`).
      batched: the module takes a whole batch, and one key for it.
      axis_name: of the batch, for layers that average over it; found in BatchNorm layers where it is not given.

    Raises:
      ImportError: if Equinox is not installed.
      InputError: if the constructor needs more than `key`, the module arguments that are neither inputs nor mode, or
        stateful layers were given without their state; at `init`, if it holds state and no mode was found.

    Example:
      >>> import equinox as eqx
      >>> network = from_equinox(functools.partial(eqx.nn.MLP, 4, 3, 8, 1))
      >>> variables = network.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> sorted(variables.params["layers"]["0"]), network.apply(variables, jnp.ones((5, 4)))[0].shape
      (['bias', 'weight'], (5, 3))
    """
    try:
        import equinox as eqx
    except ImportError as error:
        raise ImportError(
            "from_equinox needs equinox, which is not installed. Run: pip install 'verax[equinox]'"
        ) from error

    made = isinstance(module, eqx.Module)
    name = type(module).__name__ if made else constructor_name(module)
    if not made:
        check_constructor(
            module, "key", adapter="from_equinox", example="functools.partial(eqx.nn.MLP, 64, 10, 128, 2)"
        )
        if state is not None:
            raise InputError(f"state goes with a module that was made already; {name} makes its own.")
    ready = split(*with_state(module, state), name) if made else None
    if ready is not None:
        _mode_of_call(ready, name, mode, by_keyword)  # what can be said before the first use

    @functools.cache
    def structure() -> Parts:
        """What does not depend on the weights; a constructor is traced for it, once."""
        if ready is not None:
            return ready
        made_of_shapes, its_state = eqx.filter_eval_shape(constructed, module, jax.random.key(0))
        return split(made_of_shapes, its_state, name)

    @functools.cache
    def detected() -> Mode:
        return _mode_of_call(structure(), name, mode, by_keyword)

    @functools.cache
    def axis() -> str:
        return axis_name or _axis_name(structure().module, name)

    def init(key: Any, inputs: Tree) -> Variables:
        parts = structure() if ready is not None else split(*constructed(module, key), name)
        if mode is None and not detected().arguments:
            place = _without_switch(parts.module)
            if place is not None:
                raise InputError(NO_MODE.format(name=name, place=place))
        return Variables(*(jax.tree.map(_strong, nested(leaves)) for leaves in (parts.params, parts.state)))

    def merged(variables: Variables) -> tuple[Any, Any]:
        """Returns the module with its weights, and its state; None if it is stateless."""
        parts, values = structure(), {**flat(variables.params), **flat(variables.model_state)}
        leaves = [values[path] if is_array(leaf) else leaf for path, leaf in parts.leaves]
        module = jax.tree.unflatten(parts.structure, leaves)
        if parts.state_structure is None:
            return module, None
        return module, jax.tree.unflatten(parts.state_structure, [values[path] for path in parts.state_paths])

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        parts, found = structure(), detected()
        noise = key is not None
        statistics = training if parts.state_structure is not None else noise
        passed, state = merged(variables)
        passed = _switched(passed, noise, statistics)
        keywords: dict[str, Any] = dict(found.values(noise=noise, statistics=statistics))
        names = argument_names(parts.call)

        def one(inputs: Tree, state: Any, key: Any) -> tuple[Tree, Any]:
            arguments, given = ((), {**inputs, **keywords}) if by_keyword else ((inputs,), dict(keywords))
            if "key" in names:
                given["key"] = key
            if state is None:
                return passed(*arguments, **given), None
            before = jax.tree.leaves(state)
            outputs, after = passed(*arguments, state=state, **given) if "state" in names else passed(
                *arguments, state, **given
            )  # fmt: skip
            unchanged = all(a is b for a, b in zip(before, jax.tree.leaves(after), strict=True))
            if found.arguments and noise and not statistics and not unchanged:
                argument = found.arguments[0][0]
                raise ValueError(
                    f"{name} cannot have noise with frozen statistics: its argument {argument} switches both."
                )
            return outputs, after

        over_batch, given_key = one, key
        if not batched:
            over_batch = jax.vmap(one, in_axes=(0, None, 0), out_axes=(0, None), axis_name=axis())
            key = jax.random.split(key, _rows(inputs)) if noise and "key" in names else None
        try:
            outputs, after = over_batch(inputs, state, key)
        except Exception as error:
            said = _explained(error, name, noise=noise, takes_key="key" in names)
            if said is None and not batched and _takes_batches(one, inputs, merged(variables)[1], given_key):
                said = (
                    f"{name} takes a whole batch, and Verax gives an Equinox module one example at a time. Say "
                    "vx.from_equinox(module, batched=True)."
                )
            if said is None:
                raise
            raise InputError(said) from error
        if batched:
            _check_rows(outputs, _rows(inputs), name)
        if state is None or not training:
            return outputs, variables.model_state
        moved = dict(zip(parts.state_paths, jax.tree.leaves(after), strict=True))
        return outputs, nested({**flat(variables.model_state), **moved})

    def rebuild(variables: Variables) -> Any:
        module, state = merged(variables)
        module = eqx.nn.inference_mode(module)
        return module if state is None else (module, state)

    return Network(init, apply, library="equinox", name=name, rebuild=rebuild)


def _mode_of_call(parts: Parts, name: str, mode: Mapping[str, bool] | None, by_keyword: bool) -> Mode:
    names = argument_names(parts.call)
    found = mode_of(names) if mode is None else mode_from(mode)
    if mode is None and "inference" in names:
        found = Mode((*found.arguments, ("inference", False)))
    required = required_beyond_inputs(parts.call, found)
    missing = [] if by_keyword else [each for each in required if each not in ("key", "state")]
    if missing:
        raise InputError(
            f"{name}.__call__ needs {', '.join(missing)} besides its inputs. Wrap it with vx.call_with_kwargs(module) "
            "and give the inputs as a dict, or name a mode argument with vx.from_equinox(module, mode={...})."
        )
    if "state" in required and parts.state_structure is None:
        raise InputError(
            f"{name}.__call__ needs a state. Make it with eqx.nn.make_with_state, and pass both parts: "
            "vx.from_equinox(module, state=state)."
        )
    return found


def _without_switch(module: Any) -> str | None:
    """Returns the path of a module with state that nothing switches; None if there is none."""
    places = (path_text(path) or "itself" for path, node in stateful(module) if not hasattr(node, "inference"))
    return next(places, None)


def _switched(module: Any, noise: bool, statistics: bool) -> Any:
    """Returns a module in the mode asked for: statistics for layers with state, noise for all others."""
    import equinox as eqx

    def norms(module: Any) -> list[Any]:
        return [node.inference for _, node in stateful(module) if hasattr(node, "inference")]

    try:
        module = eqx.nn.inference_mode(module, value=not noise)
        return eqx.tree_at(norms, module, replace_fn=lambda _: not statistics) if norms(module) else module
    except TypeError as error:
        if "is not a leaf" not in str(error):
            raise
        raise InputError(
            f"a field `inference` of {type(module).__name__} cannot be switched: set it in __init__, and let it be "
            "neither static nor an attribute of the class."
        ) from error


def _strong(leaf: Any) -> Any:
    """Returns an array whose dtype stays what it is: `jnp.array(0)` is weak, and a counter made of it would widen."""
    return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.asarray(leaf, leaf.dtype)


def _axis_name(module: Any, name: str) -> str:
    """Returns the axis that the layers of a module average over; any name will do where there are none."""
    found = {node.axis_name for _, node in stateful(module) if isinstance(getattr(node, "axis_name", None), str)}
    if len(found) > 1:
        raise InputError(
            f"{name} averages over the axes {', '.join(sorted(found))}, and Verax maps it over one. "
            "Say which: vx.from_equinox(module, axis_name=...)."
        )
    return found.pop() if found else "batch"


def _rows(inputs: Tree) -> Any:
    return jax.tree.leaves(inputs)[0].shape[0]


def _check_rows(outputs: Tree, rows: Any, name: str) -> None:
    """Raises an InputError if an output of a module that takes batches has no axis of examples."""
    for path, leaf in jax.tree.leaves_with_path(outputs):
        if not jnp.shape(leaf) or leaf.shape[0] != rows:
            where = path_text(path)
            raise InputError(
                f"{name} must give one output for each of the {rows} examples, got shape {jnp.shape(leaf)}"
                f"{f' at {where}' if where else ''}. Leave out batched=True if it takes one example."
            )


def _takes_batches(one: Callable[..., Any], inputs: Tree, state: Any, key: Any) -> bool:
    """Returns whether what fails for one example works for a batch."""
    try:
        outputs, _ = jax.eval_shape(one, inputs, state, key)
        _check_rows(outputs, _rows(inputs), "")
    except Exception:  # whatever a user's function raises
        return False
    return True


def _explained(error: Exception, name: str, *, noise: bool, takes_key: bool) -> str | None:
    """Returns what an error of the module means in the user's words, where it is known."""
    text = str(error)
    if "requires a key when running" in text:  # Equinox's layers say so
        if not noise:
            return (
                f"{name} draws random numbers in a pass without noise: {text} Let its field `inference` decide alone."
            )
        if takes_key:
            return f"{name} must hand its `key` on to every layer that draws: {text}"
        return (
            f"{name} draws random numbers, but its __call__ takes no `key`. Give it an argument `key` and hand it on "
            "to every Dropout."
        )
    if "out_axes" in text and "None" in text:
        return (
            f"{name} changes its state for each example by itself. Average it over the batch as eqx.nn.BatchNorm does "
            "(lax.pmean with its axis_name), or let the module take the whole batch: batched=True."
        )
    return None
