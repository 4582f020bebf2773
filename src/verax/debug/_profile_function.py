"""Anyone's step, made ready to be profiled: a function of arrays, its arguments, and the batches of its loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from verax.debug._profile_compile import ProgramTime, compile_times
from verax.debug._profile_subject import Resized, Subject, bytes_accessed
from verax.findings import InputError
from verax.train._compile import program_memory
from verax.train._tracing_errors import explained
from verax.trees import Tree, shape_text


class Ready(NamedTuple):
    """A compiled step over the leaves of its arguments.

    Attributes:
      call: the compiled step.
      leaves: of the arguments, on the device.
      carried: how many leading leaves the next step takes from this one's outputs.
      donated: the leaves that a call uses up.
      program: the step's jaxpr.
    """

    call: Any
    leaves: list[Any]
    carried: int
    donated: tuple[int, ...]
    program: Any

    def start(self) -> list[Any]:
        """Returns the leaves for a first step; those that are used up are copied."""
        leaves = [jnp.copy(leaf) if index in self.donated else leaf for index, leaf in enumerate(self.leaves)]
        return jax.block_until_ready(leaves)

    def next(self, leaves: list[Any], outputs: Sequence[Any]) -> list[Any]:
        """Returns the leaves for the step after one that gave these outputs."""
        lost = [index for index in self.donated if index >= self.carried]
        fresh = {index: jnp.copy(self.leaves[index]) for index in lost}
        return [outputs[index] if index < self.carried else fresh.get(index, leaf) for index, leaf in enumerate(leaves)]

    def run(self, steps: int) -> None:
        """Takes some steps with the arguments that lie on the device, and waits for them."""
        leaves, outputs = self.start(), []
        for _ in range(steps):
            outputs = self.call(*leaves)
            leaves = self.next(leaves, outputs)
        jax.block_until_ready((leaves, outputs))


def function_subject(function: Any, args: tuple[Any, ...], batches: Iterable[Any] | None) -> Subject:
    """Returns a step as something to measure.

    Args:
      function: plain or compiled with `jax.jit`, of trees of arrays.
      args: its arguments, without the batch if `batches` are given.
      batches: what the loop iterates over, each the step's last argument; None measures the step alone.

    Raises:
      InputError: if the function cannot be traced with these arguments, or there is no batch.
    """
    if not callable(function):
        raise InputError(f"profile takes a vx.Experiment or a function, got {type(function).__name__}.")
    loader = None if batches is None else _Loader(batches)
    name = getattr(function, "__name__", type(function).__name__)
    args = args if loader is None else (*args, loader.next())
    with compile_times() as programs:
        clock = time.perf_counter()
        ready = _ready(function, name, args)
        seconds = time.perf_counter() - clock
    compiled = programs.get(name) or ProgramTime(name, 0.0, 0.0, seconds)
    batch = jax.tree.leaves(args[-1]) if loader is not None else []
    size = _batch_size(batch)
    return Subject(
        name=name,
        text=ready.call.as_text(),
        programs=(compiled,),
        run=ready.run,
        loop=None if loader is None else lambda steps: _loop(ready, loader, args[-1], steps),
        step=ready.program,
        step_bytes=bytes_accessed(ready.call),
        memory=program_memory(ready.call),
        batch_size=size,
        resized=None if size is None else lambda wanted: _resized(function, name, args, size, wanted),
    )


def _ready(function: Callable[..., Any], name: str, args: tuple[Any, ...]) -> Ready:
    """Returns a function compiled for its arguments: anew, as a first call would, even if it was compiled before."""
    jitted: Any = function if hasattr(function, "trace") and hasattr(function, "lower") else jax.jit(function)
    with explained(f"the function {name}", {"arguments": args}):
        traced = jitted.trace(*args)
    info, _ = traced.args_info
    if jax.tree.structure(info) != jax.tree.structure(args):
        raise InputError(
            f"{name} must take arrays alone, but has static arguments. Fix them: functools.partial({name}, ...)."
        )
    leaves = jax.device_put(jax.tree.leaves(args))
    donated = tuple(index for index, each in enumerate(jax.tree.leaves(info)) if each.donated)
    flat = jaxpr_as_fun(traced.jaxpr)

    def step(*leaves: Any) -> Any:
        return flat(*leaves)

    step.__name__ = step.__qualname__ = name
    compiled = jax.jit(step, donate_argnums=donated).lower(*leaves).compile()
    return Ready(compiled, leaves, _carried(args, traced.out_info), donated, traced.jaxpr)


def _carried(args: tuple[Any, ...], outputs: Tree) -> int:
    """Returns how many leading leaves of the arguments are given back first, with the same shapes: a loop's state."""
    if args and _types(outputs) == _types(args[0]):
        return len(jax.tree.leaves(args[0]))
    count = 0
    for argument, output in zip(args, outputs if isinstance(outputs, tuple) else (), strict=False):
        if _types(argument) != _types(output):
            break
        count += len(jax.tree.leaves(argument))
    return count


def _types(tree: Tree) -> tuple[Any, list[str]]:
    return jax.tree.structure(tree), [shape_text(leaf) for leaf in jax.tree.leaves(tree)]


class _Loader:
    """The batches of a loop, from the beginning again when they end."""

    def __init__(self, batches: Iterable[Any]):
        self.batches, self.waiting, self.given = batches, iter(batches), 0

    def next(self) -> Any:
        for _ in range(2):
            for batch in self.waiting:
                self.given += 1
                return batch
            self.waiting = iter(self.batches)
        raise InputError(
            f"batches ended after {self.given}, and more are needed to measure. Give a list or a loader that can be "
            "iterated over again, or an endless generator."
        )


def _loop(ready: Ready, loader: _Loader, like: Any, steps: int) -> None:
    """Takes some steps as a training loop does: the next batch, to the device, the step. Batches of other shapes (an
    epoch's last) are left out: they have a program of their own."""
    wanted = [np.shape(leaf) for leaf in jax.tree.leaves(like)]
    leaves, outputs, taken = ready.start(), [], 0
    while taken < steps:
        batch = jax.tree.leaves(loader.next())
        if [np.shape(leaf) for leaf in batch] != wanted:
            continue
        leaves[len(leaves) - len(batch) :] = jax.device_put(batch)
        outputs = ready.call(*leaves)
        leaves = ready.next(leaves, outputs)
        taken += 1
    jax.block_until_ready((leaves, outputs))


def _batch_size(leaves: list[Any]) -> int | None:
    """Returns the leading axis that all arrays of a batch share; None if they do not."""
    sizes = {np.shape(leaf)[0] for leaf in leaves if np.ndim(leaf)}
    return int(sizes.pop()) if len(sizes) == 1 else None


def _resized(function: Callable[..., Any], name: str, args: tuple[Any, ...], size: int, wanted: int) -> Resized:
    """Returns the step for a batch with more or fewer rows: the same ones again, or the first of them."""
    rows = np.arange(wanted) % size
    batch = jax.tree.map(lambda leaf: np.asarray(leaf)[rows] if np.ndim(leaf) else leaf, args[-1])
    ready = _ready(function, name, (*args[:-1], batch))
    return Resized(ready.run, program_memory(ready.call)["peak_bytes"])
