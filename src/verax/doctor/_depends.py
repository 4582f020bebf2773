"""On which of its inputs each operation of a program depends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend.core import Literal

from verax.jaxpr import Equation
from verax.jaxpr._evaluate import called_program, open_program

Names = frozenset[str]
See = Callable[[Equation, Sequence[Names]], None]


def dependencies(closed: Any, names: Sequence[str], see: See) -> list[Names]:
    """Returns the names of the inputs on which each output of a program depends.

    Args:
      closed: what `jax.make_jaxpr` gave.
      names: one for each of its inputs; several may have the same.
      see: called as `see(equation, names behind each operand)` for each operation that holds no program that was
        entered. Calls are entered; loops and branches count as one operation.

    Example:
      >>> import jax
      >>> seen = []
      >>> closed = jax.make_jaxpr(lambda a, b: a * b + a)(1.0, 2.0)
      >>> dependencies(closed, ["a", "b"], lambda equation, names: seen.append([sorted(each) for each in names]))
      [frozenset({...})]
      >>> seen
      [[['a'], ['b']], [['a', 'b'], ['a']]]
    """
    return _run(closed, [frozenset((name,)) for name in names], None, see)


def _run(program: Any, given: Sequence[Names], outer: Equation | None, see: See) -> list[Names]:
    jaxpr, _ = open_program(program)
    known: dict[Any, Names] = dict(zip(jaxpr.invars, given, strict=True))

    def of(var: Any) -> Names:
        return frozenset() if isinstance(var, Literal) else known.get(var, frozenset())

    for eqn in jaxpr.eqns:
        operands, equation, inner = [of(var) for var in eqn.invars], Equation(eqn, outer), called_program(eqn)
        if inner is not None:
            results = _run(inner, operands, equation, see)
        else:
            results = [frozenset().union(*operands)] * len(eqn.outvars)
            see(equation, operands)
        known.update(zip(eqn.outvars, results, strict=True))
    return [of(var) for var in jaxpr.outvars]
