"""Does dropout come before a batch normalisation, whose statistics it changes in training only?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._bias_terms import SUMS
from verax.doctor.probes._dropout import KEEPS, equal_or_other, of_masks, rate_of
from verax.doctor.probes._points import number_of, row_count
from verax.findings import Finding
from verax.jaxpr import Equation, flow

LAYERS = ("dot_general", "conv_general_dilated")
MOST = 1  # layers in between: the pair of Li et al. is dropout, weights, normalisation
ROOTS = ("sqrt", "rsqrt")
MIXING = ("sort", "cumsum", "gather", "scatter", "scatter-add", "argmax", "argmin", "while", "scan", "cond")


@dataclass(frozen=True)
class _Dropped:
    """A value that dropout changed: at which rate and where, and how many layers ago.

    Attributes:
      rate: the share that was set to zero.
      key: tells the dropout from others.
      place: of the dropout.
      layers: since then.
      scaled: whether dropout in this place, of the value without it, would have given the same.
    """

    rate: float
    key: tuple[int, ...]
    place: str
    layers: int = 0
    scaled: bool = True


@dataclass(frozen=True)
class _Statistic:
    """What is made of a sum over the batch of such a value."""

    of: _Dropped
    equation: Equation


def look(subject: Subject) -> Seen:
    """Follows what dropout gives into sums over the batch of which a root is taken."""
    found = statistics_after_dropout(subject)
    if not found:
        return Seen("no dropout whose results reach a batch statistic directly, or by one layer.")
    dropped, normalised = found[0]
    way = "by one layer" if dropped.layers else "directly"
    said = f"dropout of rate {dropped.rate:.2g} comes {way} before a batch normalisation"
    message = f"{said}: its statistics hold the variance of the dropout, which evaluation does not have."
    places = tuple(f"dropout in {drop.place}, statistics in {where.place}" for drop, where in found[:2])
    factor = 1 / (1 - dropped.rate) if dropped.rate < 1 else float("inf")
    shift = (
        f"with what is kept scaled up, the variance is at least {factor:.3g} times that of evaluation: 1 / (1 - rate)"
    )
    evidence = (*places[:1], shift) if dropped.scaled and not dropped.layers else places
    advice = "Put dropout after the normalisation, or after the last of them."
    where = normalised.place.span
    finding = Finding("dropout-before-batchnorm", "info", message, advice, where, "model", evidence, 1.0)
    return Seen(f"{len(found)} batch statistics of values that dropout changed.", (finding,))


def statistics_after_dropout(subject: Subject) -> list[tuple[_Dropped, Equation]]:
    """Returns the dropout and the statistic of every batch normalisation that comes right after one."""
    rows = row_count(subject.batch.inputs)
    found: dict[tuple[int, ...], tuple[_Dropped, Equation]] = {}

    def rule(equation: Equation, known: Sequence[Any]) -> Any:
        rate = rate_of(equation, known)
        if rate is not None:
            return _Dropped(round(rate, 6), equation.key, str(equation.place)) if rate > 0 else None
        if any(isinstance(each, _Dropped) for each in known):
            return _of_value(equation, known, rows)
        statistics = [each for each in known if isinstance(each, _Statistic)]
        return _of_statistic(equation, statistics[0], found) if statistics else of_masks(equation, known)

    program = subject.training_program
    flow(program, [None] * len(program.jaxpr.invars), rule, equal_or_other, literal=number_of)
    return list(found.values())


def _of_value(equation: Equation, known: Sequence[Any], rows: int) -> Any:
    eqn: Any = equation.eqn
    name, value = eqn.primitive.name, next(each for each in known if isinstance(each, _Dropped))
    if name in LAYERS:
        return replace(value, layers=value.layers + 1, scaled=False) if value.layers < MOST else None
    if name in SUMS and 0 in eqn.params["axes"] and eqn.invars[0].aval.shape[0] == rows:
        return _Statistic(value, equation)
    if name in SUMS and not eqn.params["axes"]:
        return value
    if name in MIXING or name.startswith(("reduce_", "arg")):
        return replace(value, scaled=False) if name in ("reduce_sum", "reduce_max", "reduce_window") else None
    return replace(value, scaled=value.scaled and _keeps_zeros(eqn, known))


def _keeps_zeros(eqn: Any, known: Sequence[Any]) -> bool:
    """Returns whether dropout after an operation would have given the same: a multiple, a rectifier, another layout; or
    whether it is a part of the variance."""
    name = eqn.primitive.name
    if name in ("mul", "div"):
        return all(isinstance(each, _Dropped) for each in known) or 1 in [var.aval.size for var in eqn.invars]
    if name == "sub":
        return isinstance(known[1], _Statistic)
    return name in (*KEEPS, "square", "integer_pow") or (name == "max" and 0.0 in known)


def _of_statistic(equation: Equation, statistic: _Statistic, found: dict[Any, Any]) -> Any:
    """A statistic stays one until it meets the values that it was taken of."""
    name = equation.eqn.primitive.name
    if name in ROOTS:
        found.setdefault(statistic.of.key, (statistic.of, statistic.equation))
    return None if name in (*ROOTS, *LAYERS, *MIXING) else statistic


PROBES = (Probe("order of dropout and normalisation", ("dropout-before-batchnorm",), look),)
