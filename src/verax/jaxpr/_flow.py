"""What is known of the values of a program, carried from equation to equation through calls, branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from verax.jaxpr._evaluate import called_program, open_program, scan_sizes
from verax.jaxpr._walk import Equation

Known = Any  # what is known of a value; None where that is nothing
Rule = Callable[[Equation, Sequence[Known]], Known]
Join = Callable[[Known, Known], Known]


def flow(
    closed: ClosedJaxpr,
    given: Sequence[Known],
    rule: Rule,
    join: Join,
    *,
    opaque: Collection[str] = (),
    literal: Callable[[Any], Known] = lambda value: None,
) -> list[Known]:
    """Returns what is known of a program's outputs, for what is known of its inputs.

    Args:
      closed: what `jax.make_jaxpr` gave.
      given: for each of its inputs, anything comparable; None where nothing is known, as of constants.
      rule: `(equation, what is known of its operands) -> what is known of its results`; asked for every equation that
        is not entered, and for a `cond` or `while` that is decided by something known.
      join: of two things that are known, what holds in both cases; neither is None. Joining must come to an end.
      opaque: calls (`custom_vjp_call`) that are not entered.
      literal: what is known of a number that stands in the program.

    Example:
      >>> depends = lambda equation, known: any(known) or None
      >>> closed = jax.make_jaxpr(lambda x, y: (x + 1, y * x, y + 2))(1.0, 2.0)
      >>> flow(closed, [True, None], depends, lambda one, other: True)
      [True, True, None]
    """
    return _Flow(rule, join, opaque, literal).run(closed, given, None)


class _Flow:
    def __init__(self, rule: Rule, join: Join, opaque: Collection[str], literal: Callable[[Any], Known]):
        self.rule, self.join, self.opaque, self.literal = rule, join, opaque, literal

    def run(self, program: Any, given: Sequence[Known], outer: Equation | None) -> list[Known]:
        jaxpr, _ = open_program(program)
        known: dict[Any, Known] = dict(zip(jaxpr.invars, given, strict=True))

        def of(var: Any) -> Known:
            return self.literal(var.val) if isinstance(var, Literal) else known.get(var)

        for eqn in jaxpr.eqns:
            results = self.equation(Equation(eqn, outer), [of(var) for var in eqn.invars])
            known.update(zip(eqn.outvars, results, strict=True))
        return [of(var) for var in jaxpr.outvars]

    def equation(self, equation: Equation, operands: list[Known]) -> list[Known]:
        eqn: JaxprEqn = equation.eqn
        name, program = eqn.primitive.name, called_program(eqn)
        if program is not None and name not in self.opaque:
            return self.run(program, operands, equation)
        if name == "cond" and operands[0] is None:
            branches = [self.run(branch, operands[1:], equation) for branch in eqn.params["branches"]]
            return [self.joined(results) for results in zip(*branches, strict=True)]
        if name == "scan":
            consts, carries = scan_sizes(eqn)
            return self.loop(eqn.params["jaxpr"], operands, consts, carries, equation)
        if name == "while":
            first, second = eqn.params["cond_nconsts"], eqn.params["cond_nconsts"] + eqn.params["body_nconsts"]
            carries = len(operands) - second
            results = self.loop(eqn.params["body_jaxpr"], operands[first:], second - first, carries, equation)
            if self.run(eqn.params["cond_jaxpr"], [*operands[:first], *results], equation) == [None]:
                return results
        return [self.rule(equation, operands)] * len(eqn.outvars)

    def loop(self, body: Any, operands: list[Known], consts: int, carries: int, equation: Equation) -> list[Known]:
        """Runs the body until what is carried is known."""
        fixed, carry, scanned = operands[:consts], operands[consts : consts + carries], operands[consts + carries :]
        while True:
            results = self.run(body, [*fixed, *carry, *scanned], equation)
            after = [self.joined(pair) for pair in zip(carry, results[:carries], strict=True)]
            if after == carry:
                return [*carry, *results[carries:]]
            carry = after

    def joined(self, several: Sequence[Known]) -> Known:
        result: Known = None
        for each in several:
            result = each if result is None else result if each is None else self.join(result, each)
        return result
