"""How many units of each layer are dead at several moments of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np

from verax.debug._activation_result import FLAT, Activations, LayerActivation
from verax.debug._activations import activations
from verax.debug._describe import aligned
from verax.jaxpr import Equation, equations

ROWS = 256  # a unit that none of them wakes is rarely woken by another
FEWEST_ROWS = 32
MOST_NUMBERS = 3e7  # that the forward pass may compute on all rows: about a second, and half a GB, on a slow core


class Weights(NamedTuple):
    """The weights at one moment of a training.

    Attributes:
      moment: its name: `start`, `best`, `last`.
      step: how many steps had been taken; None where it is not known.
      weights: any tree, as the network takes it.
    """

    moment: str
    step: int | None
    weights: Any


@dataclass(frozen=True)
class LayerUnits:
    """The dead units of one hidden layer.

    Attributes:
      name: as `activations` names it.
      function: the activation.
      units: of the layer; of a convolution its channels.
      dead: how many are dead at each moment; None where outputs of the layer are NaN or Inf.
    """

    name: str
    function: str
    units: int
    dead: tuple[int | None, ...]

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Which share of the units is dead at each moment."""
        return tuple(None if dead is None else dead / max(1, self.units) for dead in self.dead)


@dataclass(frozen=True)
class DeadUnits:
    """Units through which no gradient passes, by hidden layer and moment; prints as a table.

    Attributes:
      rows: of the training split that were looked at, the same at each moment.
      moments: by name, in order: `start`, `best`, `last`.
      steps: taken before each; None where it is not known.
      layers: the hidden layers with an activation, in the order in which they ran.
    """

    rows: int
    moments: tuple[str, ...]
    steps: tuple[int | None, ...]
    layers: tuple[LayerUnits, ...]

    def __iter__(self) -> Iterator[LayerUnits]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def heads(self) -> tuple[str, ...]:
        """Each moment with its step: `best (step 120)`."""
        pairs = zip(self.moments, self.steps, strict=True)
        return tuple(name if step is None else f"{name} (step {step:,})" for name, step in pairs)

    @property
    def units(self) -> int:
        """Hidden units of all layers."""
        return sum(layer.units for layer in self.layers)

    def at(self, moment: int) -> tuple[int, int]:
        """Returns how many units of all layers are dead at a moment, of how many that could be told."""
        told = [(layer.dead[moment] or 0, layer.units) for layer in self.layers if layer.dead[moment] is not None]
        return sum(dead for dead, _ in told), sum(units for _, units in told)

    def table(self) -> list[tuple[str, ...]]:
        """Returns a line for each layer: name, activation, units, and the dead ones at each moment."""
        return [
            (each.name, each.function, str(each.units), *("-" if dead is None else str(dead) for dead in each.dead))
            for each in self.layers
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as plain values."""
        moments = [{"name": name, "step": step} for name, step in zip(self.moments, self.steps, strict=True)]
        layers = [
            {"name": each.name, "function": each.function, "units": each.units, "dead": list(each.dead)}
            for each in self.layers
        ]
        return {"rows": self.rows, "moments": moments, "layers": layers}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> DeadUnits:
        """Returns what `to_json` wrote.

        Raises:
          KeyError, TypeError: if it is something else.
        """
        layers = (
            LayerUnits(str(each["name"]), str(each["function"]), int(each["units"]), tuple(each["dead"]))
            for each in content["layers"]
        )
        moments = content["moments"]
        names, steps = (tuple(each[part] for each in moments) for part in ("name", "step"))
        return DeadUnits(int(content["rows"]), names, steps, tuple(layers))

    def __str__(self) -> str:
        if not self.layers:
            return "no hidden layer with an activation was found."
        table = aligned([("layer", "activation", "units", *self.heads), *self.table()], right=(2, 3, 4, 5))
        return f"{table}\ndead: a slope below {FLAT:g} on all of {self.rows} rows, silent or saturated."


def dead_units(function: Callable[..., Any], weights: Iterable[Weights], inputs: Any, *, rows: int = ROWS) -> DeadUnits:
    """Returns how many units of each hidden layer are dead at several moments of a training.

    A unit is dead if the slope of its activation is below 1e-3 in magnitude on every row (and at every position, where
    it has several): a rectifier that is silent, a sigmoid or tanh at its flat end. Nothing that the loss says reaches
    its weights.

    Args:
      function: `function(weights, inputs)`, the forward pass; see `activations`.
      weights: those of each moment, in order.
      inputs: rows of the training split, in any tree.
      rows: looks at the first so many; at fewer, but no less than 32, where the network is large.

    Example:
      >>> def network(params, x):
      ...     return jax.nn.relu(x @ params["hidden"] + params["shift"][None]) @ jnp.ones((3, 1))
      >>> first = {"hidden": jnp.eye(3), "shift": jnp.zeros(3)}
      >>> last = {"hidden": jnp.eye(3), "shift": jnp.array([0.0, 0.0, -9.0])}
      >>> moments = [Weights("start", 0, first), Weights("last", 40, last)]
      >>> print(dead_units(network, moments, jax.random.normal(jax.random.key(0), (64, 3))))
      layer   activation  units  start (step 0)  last (step 40)
      hidden  relu            3               0               1
      dead: a slope below 0.001 on all of 64 rows, silent or saturated.
    """
    weights = tuple(weights)
    few = _few(function, weights[0].weights, inputs, rows) if weights else inputs
    looks = [activations(function, each.weights, few) for each in weights]
    found = [dict(_keyed(look)) for look in looks]
    hidden = {key: layer for look in reversed(found) for key, layer in look.items() if layer.is_hidden}
    order = [key for key in dict.fromkeys(key for look in found for key in look) if key in hidden]
    layers = (
        LayerUnits(hidden[key].name, hidden[key].function, hidden[key].units, tuple(_dead(look, key) for look in found))
        for key in order
    )
    count = min((len(leaf) for leaf in jax.tree.leaves(few) if np.ndim(leaf)), default=0)
    moments, steps = tuple(each.moment for each in weights), tuple(each.step for each in weights)
    return DeadUnits(count, moments, steps, tuple(layers))


def _keyed(look: Activations) -> Iterator[tuple[tuple[str, int], LayerActivation]]:
    """Yields each layer with its name, and which of that name it is."""
    seen: Counter[str] = Counter()
    for layer in look:
        yield (layer.name, seen[layer.name]), layer
        seen[layer.name] += 1


def _dead(look: Mapping[tuple[str, int], LayerActivation], key: tuple[str, int]) -> int | None:
    layer = look.get(key)
    return None if layer is None or layer.dead is None or layer.nonfinite else round(layer.dead * layer.units)


def _few(function: Callable[..., Any], weights: Any, inputs: Any, rows: int) -> Any:
    """Returns the first rows of some inputs, as many as the forward pass may be evaluated on."""
    sizes = [len(leaf) for leaf in jax.tree.leaves(inputs) if np.ndim(leaf)]
    one = jax.tree.map(lambda leaf: leaf[: min(FEWEST_ROWS, *sizes, rows)] if np.ndim(leaf) else leaf, inputs)
    closed = jax.make_jaxpr(function)(weights, one)
    each = sum(_numbers(equation) for equation in equations(closed)) / min(FEWEST_ROWS, *sizes, rows)
    most = min(rows, *sizes, max(FEWEST_ROWS, int(MOST_NUMBERS / max(each, 1.0))))
    return jax.tree.map(lambda leaf: leaf[:most] if np.ndim(leaf) else leaf, inputs)


def _numbers(equation: Equation) -> int:
    """Returns how many numbers an equation computes, in all turns of the loops around it."""
    around, outer = 1, equation.outer
    while outer is not None:
        around, outer = around * int(outer.eqn.params.get("length") or 1), outer.outer
    return around * sum(prod(getattr(var.aval, "shape", ())) for var in equation.eqn.outvars)
