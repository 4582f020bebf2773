"""Which input of a program is nearest to each equation: the layer, where layers have no names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, jaxprs_in_params

from verax.jaxpr._evaluate import called_program, open_program, scan_sizes
from verax.jaxpr._walk import Equation


class Near(NamedTuple):
    """A named input that feeds a value, and how many equations lie between them."""

    equations: int
    name: str


Nears = list[Near | None]


class Nearest:
    """The nearest named input of every operand in a program."""

    def __init__(self) -> None:
        self.operands: dict[tuple[int, ...], Nears] = {}

    def of_operands(self, equation: Equation) -> Nears:
        """Returns the nearest named input of each operand; None where no named one feeds it."""
        return self.operands.get(equation.key, [None] * len(equation.eqn.invars))

    def of(self, equation: Equation) -> str:
        """Returns the name of the input that feeds an equation through the fewest others; empty if none does."""
        near = _nearest(self.of_operands(equation))
        return near.name if near else ""


def nearest_inputs(closed: ClosedJaxpr, names: Sequence[str | None]) -> Nearest:
    """Returns the named input that feeds each equation of a program through the fewest others; of equals, the first.

    With the paths of the parameters as names it tells the layer of an equation in networks whose layers leave no names
    in the program (NNX, Equinox, plain functions).

    Args:
      closed: what `jax.make_jaxpr` gave.
      names: one for each of its inputs; None for those that are not looked for.

    Example:
      >>> from verax.jaxpr import equations
      >>> def network(hidden, out, x):
      ...     return jnp.tanh(x @ hidden) @ out
      >>> closed = jax.make_jaxpr(network)(jnp.ones((3, 4)), jnp.ones((4, 2)), jnp.ones((5, 3)))
      >>> nearest = nearest_inputs(closed, ["hidden", "out", None])
      >>> [(equation.eqn.primitive.name, nearest.of(equation)) for equation in equations(closed)]
      [('dot_general', 'hidden'), ('tanh', 'hidden'), ('dot_general', 'out')]
    """
    nearest = Nearest()
    _run(closed, [None if name is None else Near(0, name) for name in names], None, nearest)
    return nearest


def _run(program: Any, given: Nears, outer: Equation | None, nearest: Nearest) -> Nears:
    """Returns the nearest inputs of a program's outputs, and notes those of all operands within."""
    jaxpr, _ = open_program(program)
    known: dict[Any, Near | None] = dict(zip(jaxpr.invars, given, strict=True))

    def of(var: Any) -> Near | None:
        return None if isinstance(var, Literal) else known.get(var)

    for eqn in jaxpr.eqns:
        equation, operands = Equation(eqn, outer), [of(var) for var in eqn.invars]
        nearest.operands[equation.key] = operands
        known.update(zip(eqn.outvars, _results(equation, operands, nearest), strict=True))
    return [of(var) for var in jaxpr.outvars]


def _results(equation: Equation, operands: Nears, nearest: Nearest) -> Nears:
    eqn: JaxprEqn = equation.eqn
    name, program = eqn.primitive.name, called_program(eqn)
    if program is not None:
        return _run(program, operands, equation, nearest)
    if name == "cond":
        branches = [_run(branch, operands[1:], equation, nearest) for branch in eqn.params["branches"]]
        return [_nearest(results) for results in zip(*branches, strict=True)]
    if name == "scan":
        consts, carries = scan_sizes(eqn)
        return _loop(eqn.params["jaxpr"], operands, consts, carries, equation, nearest)
    if name == "while":
        first, second = eqn.params["cond_nconsts"], eqn.params["cond_nconsts"] + eqn.params["body_nconsts"]
        carries = len(operands) - second
        results = _loop(eqn.params["body_jaxpr"], operands[first:], second - first, carries, equation, nearest)
        _run(eqn.params["cond_jaxpr"], [*operands[:first], *results], equation, nearest)
        return results
    near = _nearest(operands)
    for inner in jaxprs_in_params(eqn.params):
        _run(inner, [near] * len(inner.invars), equation, nearest)
    return [near and near._replace(equations=near.equations + 1)] * len(eqn.outvars)


def _loop(body: Any, operands: Nears, consts: int, carries: int, equation: Equation, nearest: Nearest) -> Nears:
    """Runs the body until what is carried is known: it only ever comes nearer, so this ends."""
    fixed, carry, scanned = operands[:consts], operands[consts : consts + carries], operands[consts + carries :]
    while True:
        results = _run(body, [*fixed, *carry, *scanned], equation, nearest)
        after = [_nearest(pair) for pair in zip(carry, results[:carries], strict=True)]
        if after == carry:
            return [*carry, *results[carries:]]
        carry = after


def _nearest(nears: Sequence[Near | None]) -> Near | None:
    return min((near for near in nears if near is not None), key=lambda near: near.equations, default=None)
