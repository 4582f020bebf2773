"""What the activations of a network's layers look like on a batch; prints as a table."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from verax.debug._describe import aligned

FLAT = 1e-3  # a thousandth of the gradient passes: tanh beyond 4.1, sigmoid beyond 6.9
Role = Literal["hidden", "output", "gate", "softmax", "input"]


@dataclass(frozen=True)
class LayerActivation:
    """The numbers of one layer on all rows, and at all positions where it has several.

    Attributes:
      name: the layer's name stack, or the path of its weights where the library leaves no names.
      function: `relu`, `tanh`, ...; `linear` where nothing follows the layer but other layers, `other` for what has no
        name.
      role: `hidden`; `output` if it makes the network's outputs; `gate` if it multiplies what comes from other layers;
        `softmax`; `input` if no layer comes before it. Only hidden layers are to be judged by silence and slopes.
      kernels: paths of the weights whose products it takes.
      biases: paths of what is added to these.
      units: of the layer.
      mean: of the pre-activations.
      pre_std: their standard deviation.
      std: that of the outputs.
      spread: how much the pre-activations of a unit differ between rows: root mean square over units of the standard
        deviation.
      silent: share of units whose slope is 0 on every row; None where there are no slopes.
      constant: share of units with one output on all rows.
      flat: share of pairs of unit and row whose slope is below 1e-3 in magnitude; None where there are no slopes.
      dead: share of units whose slope is below 1e-3 in magnitude on every row, silent or saturated; None likewise.
      largest: magnitude among the outputs.
      nonfinite: share of outputs that are NaN or Inf; these are left out of all else.
    """

    name: str
    function: str
    role: Role
    kernels: tuple[str, ...]
    biases: tuple[str, ...]
    units: int
    mean: float
    pre_std: float
    std: float
    spread: float
    silent: float | None
    constant: float
    flat: float | None
    dead: float | None
    largest: float
    nonfinite: float

    @property
    def is_hidden(self) -> bool:
        """Whether it is a hidden layer with an activation."""
        return self.role == "hidden" and self.function != "linear"


@dataclass(frozen=True)
class Activations:
    """The layers of a network in the order in which they ran; prints as a table.

    Attributes:
      layers: one for each activation, and for each layer without one.
    """

    layers: tuple[LayerActivation, ...]

    def __iter__(self) -> Iterator[LayerActivation]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> LayerActivation:
        """Returns the layer of that name, or the first whose name ends so."""
        for each in sorted(self.layers, key=lambda each: each.name != name):
            if each.name == name or each.name.endswith(f"/{name}") or name in each.kernels:
                return each
        raise KeyError(f"no layer {name!r}. There are: {', '.join(each.name for each in self.layers)}.")

    def __str__(self) -> str:
        head = ("layer", "activation", "role", "units", "pre mean", "pre std", "std", "largest")
        head += ("silent", "constant", "flat", "not finite")
        table = aligned([head, *map(_row, self.layers)], right=tuple(range(3, 12)))
        words = "silent: units whose slope is 0 on every row. constant: units with one output on all rows. "
        return f"{table}\n{words}flat: pairs of unit and row with a slope below {FLAT:g}."

    def to_json(self) -> dict[str, Any]:
        """Returns the table as plain values for JSON."""
        return {"layers": [vars(each) for each in self.layers]}


def measured(
    name: str,
    function: str,
    role: Role,
    kernels: tuple[str, ...],
    biases: tuple[str, ...],
    before: np.ndarray,
    after: np.ndarray,
    slope: np.ndarray | None,
) -> LayerActivation:
    """Returns the numbers of a layer, given its pre-activations, outputs and slopes, each of shape (rows, units)."""
    finite = np.isfinite(after)
    seen = np.isfinite(before) & ((after > 0) | (role != "softmax"))  # what a mask hides is no input of a softmax
    outputs, inputs = after[finite], before[seen].astype(np.float64)
    constant = np.ptp(np.where(finite, after, 0.0), axis=0) == 0
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of units without a finite number
        spread = np.sqrt(np.mean(np.nanvar(np.where(seen, before, np.nan), axis=0)))
    silent = None if slope is None else float(np.mean(np.all(slope == 0, axis=0)))
    is_flat = None if slope is None else np.abs(slope) < FLAT
    flat, dead = (None, None) if is_flat is None else (float(is_flat.mean()), float(is_flat.all(axis=0).mean()))
    return LayerActivation(
        name,
        function,
        role,
        kernels,
        biases,
        after.shape[1],
        *((float(inputs.mean()), float(inputs.std())) if inputs.size else (0.0, 0.0)),
        float(outputs.std()) if outputs.size else 0.0,
        float(spread) if np.isfinite(spread) else 0.0,
        silent,
        float(np.mean(constant)),
        flat,
        dead,
        float(np.abs(outputs).max()) if outputs.size else 0.0,
        float(np.mean(~finite)),
    )


def _row(each: LayerActivation) -> tuple[str, ...]:
    numbers = (f"{value:.3g}" for value in (each.mean, each.pre_std, each.std, each.largest))
    shares = (_share(each.silent), _share(each.constant), _share(each.flat))
    bad = f"{each.nonfinite:.1%}" if each.nonfinite else "-"
    return (each.name, each.function, each.role, str(each.units), *numbers, *shares, bad)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
