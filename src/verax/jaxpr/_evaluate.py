"""A program evaluated equation by equation on the values at hand, with a visitor that sees each and may change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from verax.jaxpr._rebind import bind
from verax.jaxpr._walk import Equation
from verax.trees import is_key

Values = Sequence[Any]
Visit = Callable[[Equation, Values, Values, tuple[int, ...]], Values | None]
Over = Callable[[Equation, Values], Values | None]

CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"}
CALLS |= {"remat", "remat2", "checkpoint"}
LOOPS = {"scan", "while"}


def evaluate(closed: ClosedJaxpr, args: Values, visit: Visit, *, over: Over | None = None) -> list[Any]:
    """Returns the outputs of a program, evaluated equation by equation with the operations and types it has.

    Goes into calls (`jit`, `remat`, functions with a derivative of their own), loops and the branch that is taken. Any
    other equation that holds a program (`shard_map`, kernels) is evaluated as one. Each operation is compiled by
    itself, once a process for each shape; a value is let go after its last use. Operands are JAX arrays where they were
    given or computed, and NumPy arrays or scalars where they are constants of the program.

    Args:
      closed: what `jax.make_jaxpr` gave.
      args: a value for each of its inputs.
      visit: called as `visit(equation, inputs, outputs, turns)` after each equation that holds no program that was
        entered. `turns` counts the iterations of the loops around it from 0, the outermost first; in a `scan` it is the
        position in what is scanned, so a reversed one counts down. What it returns, unless None, takes the place of the
        outputs.
      over: called as `over(equation, inputs)` before a call, loop or branch is entered. The outputs if it is not to be
        entered (see `run_equation`), else None.

    Example:
      >>> def product(first, x):
      ...     return jax.lax.scan(lambda carry, y: (carry * y, None), first, x)[0]
      >>> closed = jax.make_jaxpr(product)(jnp.ones(()), jnp.ones(3))
      >>> seen = []
      >>> def visit(equation, inputs, outputs, turns):
      ...     seen.append((equation.eqn.primitive.name, float(outputs[0]), turns))
      >>> [float(value) for value in evaluate(closed, [jnp.ones(()), jnp.arange(1.0, 4.0)], visit)]
      [6.0]
      >>> seen
      [('mul', 1.0, (0,)), ('mul', 2.0, (1,)), ('mul', 6.0, (2,))]
    """
    jaxpr, _ = open_program(closed)
    outputs = _Evaluation(visit, over).run(closed, list(args), None, ())
    return [_array(output, var) for output, var in zip(outputs, jaxpr.outvars, strict=True)]


def run_equation(equation: Equation, operands: Values) -> list[Any]:
    """Returns the results of one equation, with all that it holds, on given operands."""
    eqn = equation.eqn
    with eqn.ctx.manager:
        return bind(eqn, list(operands), eqn.params)


def scan_sizes(eqn: JaxprEqn) -> tuple[int, int]:
    """Returns how many operands of a `scan` are constants and how many are carried; the others are scanned.

    Told apart by their shapes: the names of the parameters that say it change between releases of JAX.
    """
    body = open_program(eqn.params["jaxpr"])[0]
    carries = sum(_shape(outer) == _shape(inner) for outer, inner in zip(eqn.outvars, body.outvars, strict=True))
    scanned = sum(_shape(outer) != _shape(inner) for outer, inner in zip(eqn.invars, body.invars, strict=True))
    return len(eqn.invars) - scanned - carries, carries


def open_program(program: Any) -> tuple[Jaxpr, Values]:
    """Returns a nested program and its constants; these are none where it is open."""
    return getattr(program, "jaxpr", program), getattr(program, "consts", ())


def called_program(eqn: JaxprEqn) -> Any | None:
    """Returns the program that a call enters, or None if the equation is no call with one operand for each input."""
    program = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr")) if eqn.primitive.name in CALLS else None
    fits = program is not None and len(open_program(program)[0].invars) == len(eqn.invars)
    return program if fits else None


class _Evaluation:
    def __init__(self, visit: Visit, over: Over | None):
        self.visit, self.over = visit, over
        self.last_uses: dict[int, list[list[Any]]] = {}

    def run(self, program: Any, args: list[Any], outer: Equation | None, turns: tuple[int, ...]) -> list[Any]:
        jaxpr, consts = open_program(program)
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(_constant, consts), *args], strict=True))
        del args
        for eqn, spent in zip(jaxpr.eqns, self._last_uses(jaxpr), strict=True):
            operands = [each.val if isinstance(each, Literal) else values[each] for each in eqn.invars]
            values.update(zip(eqn.outvars, self._equation(Equation(eqn, outer), operands, turns), strict=True))
            for var in spent:
                del values[var]
        return [each.val if isinstance(each, Literal) else values[each] for each in jaxpr.outvars]

    def _last_uses(self, jaxpr: Jaxpr) -> list[list[Any]]:
        """Returns for each equation the values that nothing after it uses."""
        if id(jaxpr) not in self.last_uses:
            used = {var for var in jaxpr.outvars if not isinstance(var, Literal)}
            spent: list[list[Any]] = []
            for eqn in reversed(jaxpr.eqns):
                variables = dict.fromkeys([*(var for var in eqn.invars if not isinstance(var, Literal)), *eqn.outvars])
                spent.append([var for var in variables if var not in used])
                used.update(variables)
            self.last_uses[id(jaxpr)] = spent[::-1]
        return self.last_uses[id(jaxpr)]

    def _equation(self, equation: Equation, operands: list[Any], turns: tuple[int, ...]) -> list[Any]:
        name = equation.eqn.primitive.name
        program = called_program(equation.eqn)
        if program is not None or name in LOOPS or name == "cond":
            stepped = self.over(equation, operands) if self.over else None
            if stepped is not None:
                return list(stepped)
            if name == "scan":
                return self._scan(equation, operands, turns)
            if name == "while":
                return self._while(equation, operands, turns)
            if name == "cond":
                branches = equation.eqn.params["branches"]
                program = branches[int(np.clip(int(operands[0]), 0, len(branches) - 1))]
                operands = operands[1:]
            return self.run(program, operands, equation, turns)
        results = run_equation(equation, operands)
        changed = self.visit(equation, operands, results, turns)
        return results if changed is None else list(changed)

    def _scan(self, equation: Equation, operands: list[Any], turns: tuple[int, ...]) -> list[Any]:
        eqn = equation.eqn
        consts, carries = scan_sizes(eqn)
        fixed, carry, scanned = operands[:consts], operands[consts : consts + carries], operands[consts + carries :]
        order = range(eqn.params["length"])
        steps: list[list[Any]] = []
        for turn in reversed(order) if eqn.params["reverse"] else order:
            row = [_row(each, turn) for each in scanned]
            results = self.run(eqn.params["jaxpr"], [*fixed, *carry, *row], equation, (*turns, turn))
            carry, step = results[:carries], results[carries:]
            steps.append(step)
        steps = steps[::-1] if eqn.params["reverse"] else steps
        return [*carry, *(_stacked([step[i] for step in steps], var) for i, var in enumerate(eqn.outvars[carries:]))]

    def _while(self, equation: Equation, operands: list[Any], turns: tuple[int, ...]) -> list[Any]:
        params = equation.eqn.params
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        carry, turn = operands[second:], 0
        while True:
            again = self.run(params["cond_jaxpr"], [*operands[:first], *carry], equation, (*turns, turn))[0]
            if not np.any(np.asarray(again)):
                return carry
            after = self.run(params["body_jaxpr"], [*operands[first:second], *carry], equation, (*turns, turn))
            carry = after if np.ndim(again) == 0 else [_where(again, *pair) for pair in zip(after, carry, strict=True)]
            turn += 1


def _where(again: Any, after: Any, before: Any) -> Any:
    """Returns what a loop carries in lanes (`vmap` of `while`): those that have ended keep what they had."""
    lanes = np.asarray(again)
    return jnp.where(lanes.reshape(lanes.shape + (1,) * (np.ndim(after) - lanes.ndim)), after, before)


def _row(array: Any, index: int) -> Any:
    return array[index] if is_key(array) else jnp.asarray(np.asarray(array)[index])


def _stacked(rows: list[Any], var: Any) -> Any:
    if not rows:
        return jnp.zeros(var.aval.shape, var.aval.dtype)
    return jnp.stack(rows) if is_key(rows[0]) else _array(np.stack([np.asarray(row) for row in rows]), var)


def _array(value: Any, var: Any) -> Any:
    """Returns a value as a JAX array of the type that the program states: a constant may be a bare number."""
    return value if isinstance(value, jax.Array) else jnp.asarray(value, var.aval.dtype)


def _constant(value: Any) -> Any:
    return value if is_key(value) else np.asarray(value)


def _shape(var: Any) -> tuple[int, ...]:
    return var.aval.shape
