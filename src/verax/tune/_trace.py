"""Which hyperparameters can be inputs of one compiled program: each is tried as a traced number."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Dataset, Examples, load
from verax.findings import InputError, user_frames
from verax.jaxpr import flow
from verax.network import as_network
from verax.train import Experiment, fingerprint, resolve
from verax.train._initial import effective_optimizer, first_state
from verax.train._keys import base_key
from verax.train._optimizer import moved_on, with_standard_promotion
from verax.train._step import StepOptions, make_eval_step, make_train_step
from verax.trees import Tree

Form = Literal["input", "scale", "program", "data"]
NOT_TRACED = "a value that is no number"
COUNTERS = 16  # moments of a run at which a scaled optimizer is compared
CLOSE = 1e-4  # of the largest update: float32 in another order stays two orders below


@dataclass(frozen=True)
class Verdict:
    """What one hyperparameter is to the compiled program.

    Attributes:
      name: of the hyperparameter.
      form: `input`: a number that the program is given; `scale`: likewise, by which the updates at 1.0 are multiplied;
        `program`: each value needs a program of its own; `data`: each value has other data.
      reason: why it is no input; empty where it is.
      line: the line of the user's file that stopped it, `file:line: text`, or None.
    """

    name: str
    form: Form
    reason: str = ""
    line: str | None = None

    @property
    def is_input(self) -> bool:
        """Whether one program serves all values."""
        return self.form in ("input", "scale")

    def __str__(self) -> str:
        if self.form == "input":
            return f"{self.name}: an input of the program"
        if self.form == "scale":
            return f"{self.name}: an input, by which the optimizer's updates at 1.0 are scaled"
        what = "other data for each value" if self.form == "data" else "a program for each value"
        return f"{self.name}: {what} ({self.reason}{f', at {self.line}' if self.line else ''})"


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes experiments of which some hyperparameters are traced.

    Attributes:
      function: the user's, from hyperparameters to an Experiment.
      fixed: hyperparameters that all trials have.
      dataset: loaded once; what the function says about data is left aside in a trace.
      scaled: names by which the updates at 1.0 are multiplied.
    """

    function: Callable[..., Experiment]
    fixed: Mapping[str, Any]
    dataset: Dataset
    scaled: frozenset[str] = frozenset()

    @functools.cached_property
    def train(self) -> Examples:
        """The training split."""
        return self.dataset.examples("train")

    def __call__(self, hyperparameters: Mapping[str, Any]) -> Experiment:
        """Returns the experiment, its objective fitted to the training split."""
        ones = {name: 1.0 for name in self.scaled if name in hyperparameters}
        made = resolve(self.function, {**self.fixed, **hyperparameters, **ones})
        optimizer = made.optimizer
        for name in ones:
            optimizer = optax.chain(optimizer, optax.scale(hyperparameters[name]))
        return replace(made, objective=made.objective.fitted(self.train), optimizer=optimizer)


@dataclass(frozen=True)
class Tried:
    """What came of tracing some hyperparameters together.

    Attributes:
      used: those on which anything depends that a trial computes.
      error: why it did not go, or None.
    """

    used: frozenset[str] = frozenset()
    error: Exception | None = field(default=None, compare=False)


def verdicts(
    maker: Maker, setting: Mapping[str, Any], values: Mapping[str, Sequence[Any]], total_steps: int
) -> tuple[dict[str, Verdict], frozenset[str]]:
    """Returns what each hyperparameter is to the program, and the inputs that change nothing.

    Args:
      maker: of experiments.
      setting: a whole setting that works.
      values: some values of each hyperparameter that is searched.
      total_steps: of a trial, for the comparison of schedules.
    """
    found: dict[str, Verdict] = {}
    idle: set[str] = set()
    numbers = [name for name in values if all(map(is_number, values[name])) and name in setting]
    for name in values:
        if name not in numbers:
            found[name] = Verdict(name, "program", NOT_TRACED if name in setting else "it applies to some trials only")
    floats = [name for name in numbers if any(isinstance(value, float) for value in values[name])]
    together = trace(maker, setting, floats) if len(floats) > 1 else None  # most often all go, in one trace
    if together is not None and together.error is None:
        found |= {name: Verdict(name, "input") for name in floats}
        idle |= set(floats) - together.used
    for name in (each for each in numbers if each not in found):
        tried = trace(maker, setting, [name])
        if tried.error is None:
            found[name] = Verdict(name, "input")
            idle |= {name} - tried.used
        elif _scales(maker, setting, name, values[name], total_steps):
            found[name] = Verdict(name, "scale")
        else:
            found[name] = _refused(name, tried.error)
    inputs = [name for name, verdict in found.items() if verdict.is_input]
    scaled = frozenset(name for name, verdict in found.items() if verdict.form == "scale")
    # One by one they went; together they may not.
    while len(inputs) > 1 and (tried := trace(replace(maker, scaled=scaled), setting, inputs)).error is not None:
        name = inputs.pop()
        found[name] = replace(_refused(name, tried.error), reason=f"not together with {', '.join(inputs)}")
    return {name: found[name] for name in values}, frozenset(idle)


def trace(maker: Maker, setting: Mapping[str, Any], names: Sequence[str]) -> Tried:
    """Returns whether some hyperparameters can be traced through initialisation, a step and validation.

    The user's function is called in the trace as it is; nothing is computed.
    """
    rows = jax.tree.map(lambda leaf: leaf[:2], maker.train)

    def trial(given: Mapping[str, Any], key: Any, few: Examples) -> Tree:
        made = maker({**setting, **given})
        if load(made.data).fingerprint != maker.dataset.fingerprint:
            raise _OtherData
        network, size = as_network(made.network), jax.tree.leaves(few)[0].shape[0]
        state = first_state(made, network, key, few.inputs)
        options = StepOptions(1, made.augment, tuple(made.freeze), made.ema)
        step = make_train_step(network, made.objective, effective_optimizer(made), options=options)
        batch = Batch(few.inputs, few.targets, jnp.ones(size, jnp.float32))
        state, record = step(state, batch)
        return state, record, make_eval_step(network, made.objective)(state.variables, batch)

    given = {name: np.float32(setting[name]) if isinstance(setting[name], float) else setting[name] for name in names}
    try:
        program = jax.make_jaxpr(trial)(given, base_key(0), rows)
    except Exception as error:  # whatever the user's function, its library or Optax has against a traced number
        return Tried(error=error)
    known = [frozenset((name,)) for name in sorted(names)]
    others = len(program.jaxpr.invars) - len(known)
    results = flow(program, [*known, *[None] * others], _behind, frozenset.union)
    return Tried(frozenset().union(*(each for each in results if each)))


def _behind(_: Any, operands: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    known = [each for each in operands if each]
    return frozenset().union(*known) if known else None


class _OtherData(Exception):
    """A traced hyperparameter changes the data."""


def _refused(name: str, error: BaseException | None) -> Verdict:
    """Returns the verdict on a hyperparameter that cannot be traced, with the line that stopped it."""
    if isinstance(error, _OtherData):
        return Verdict(name, "data", "it changes the data")
    frames = user_frames(error) if error is not None else []
    line = f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else None
    data = isinstance(error, jax.errors.TracerArrayConversionError)
    said = "it becomes an array of NumPy" if data else _said(error)
    return Verdict(name, "program", said, line)


def _said(error: BaseException | None) -> str:
    if isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerIntegerConversionError):
        return "Python needs its value"
    text = str(error).strip().splitlines()
    if isinstance(error, TypeError) and text and text[0].startswith("Shapes must be"):
        return "a shape needs its value"
    if not isinstance(error, InputError) or not text:
        return type(error).__name__
    return "Python needs its value" if "Tracer" in text[0] else text[0][:100]


def is_number(value: Any) -> bool:
    """Returns whether a hyperparameter is a number, which may be traced."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scales(maker: Maker, setting: Mapping[str, Any], name: str, values: Sequence[Any], total_steps: int) -> bool:
    """Returns whether a hyperparameter does nothing but scale the optimizer's updates, as far as numbers can tell.

    Compared are the updates of the optimizer made with two values, at moments of the whole run, with those of the one
    made with 1.0; and the programs without optimizer.
    """
    chosen = [value for value in (values[0], values[-1]) if isinstance(value, float)]
    if not chosen:
        return False
    try:
        at_one = maker({**setting, name: 1.0})
        others = [maker({**setting, name: value}) for value in chosen]
        idle = optax.set_to_zero()
        apart = {fingerprint(replace(each, optimizer=idle)) for each in (at_one, *others)}
        if len(apart) > 1:
            return False
        network = as_network(at_one.network)
        few = jax.tree.map(lambda leaf: leaf[:1], maker.train.inputs)
        params = jax.eval_shape(network.init, base_key(0), few).params
        moments = jnp.asarray(np.unique(np.linspace(0, max(total_steps - 1, 0), COUNTERS).astype(np.int32)))
        unit = _updates(effective_optimizer(at_one), params, moments)
        return all(
            _proportional(unit, _updates(effective_optimizer(each), params, moments), value)
            for each, value in zip(others, chosen, strict=True)
        )
    except Exception:  # a value of 1.0 that the function refuses, for one
        return False


def _updates(optimizer: optax.GradientTransformation, params: Tree, moments: Any) -> list[np.ndarray]:
    """Returns the updates of a tiny tree of the same paths, two steps on from each moment."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct([min(2, size) for size in leaf.shape], leaf.dtype), params)
    leaves, structure = jax.tree.flatten(shapes)
    inner = with_standard_promotion(optimizer)

    def drawn(seed: int) -> Tree:
        rng = np.random.default_rng(seed)
        return jax.tree.unflatten(structure, [rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in leaves])

    def at(moment: Any) -> Tree:
        weights, loss = drawn(0), jnp.float32(1)
        state = moved_on(inner.init(weights), moment)
        for seed in (1, 2):
            extra = {"value": loss, "grad": drawn(seed), "value_fn": lambda _: loss}
            updates, state = inner.update(drawn(seed), state, weights, **extra)
        return updates

    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(jax.jit(jax.vmap(at))(moments))]


def _proportional(unit: list[np.ndarray], updates: list[np.ndarray], factor: float) -> bool:
    scale = max((np.abs(each).max(initial=0) for each in updates), default=0.0)
    return all(
        np.allclose(one * factor, other, rtol=CLOSE, atol=CLOSE * scale)
        for one, other in zip(unit, updates, strict=True)
    )


def takes_seed(function: Callable[..., Experiment]) -> bool:
    """Returns whether the user's function is given the seed."""
    parameters = inspect.signature(function).parameters.values()
    return any(each.name == "seed" or each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
