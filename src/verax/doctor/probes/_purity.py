"""Do the program's functions depend on anything but their arguments, or change anything but what they return?"""

from __future__ import annotations

from typing import Any

import jax

from verax.debug import purity
from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.jaxpr import first_difference, same_program


def look(subject: Subject) -> Seen:
    """Traces the objective under other seeds and another clock, the evaluation and the initial weights once more."""
    found = list(purity(subject.objective, *subject.variables, subject.batch, subject.noise(0)))
    if not any(each.is_alarm for each in found):
        found += _differing(subject)
    alarms = [each for each in found if each.is_alarm]
    compared = f"traces of the objective, the evaluation and the initial weights: {len(alarms)} differences."
    return Seen(compared, tuple(_of_model(each) for each in alarms))


def _differing(subject: Subject) -> list[Finding]:
    """Returns a finding if evaluation or initial weights differ from trace to trace."""
    inputs, key = subject.batch.inputs, subject.noise(0)

    def start() -> Any:
        return jax.make_jaxpr(lambda key: subject.network.init(key, inputs))(subject.key)

    evaluation = jax.make_jaxpr(lambda *args: subject.evaluate(*args))(subject.variables, inputs, key)
    for name, first, second in (
        ("evaluations of the same rows", subject.evaluation_program, evaluation),
        ("initialisations with the same key", start(), start()),
    ):
        if not same_program(first, second):
            difference = first_difference(first, second)
            numbers = f": {difference[1]}" if difference else ""
            advice = "Draw random numbers with jax.random from the key that is passed in."
            message = f"two {name} are different programs{numbers}."
            return [Finding("unseeded-randomness", "warning", message, advice)]
    return []


def _of_model(finding: Finding) -> Finding:
    return Finding(
        finding.id, finding.severity, finding.message, finding.advice, finding.where, "model", finding.evidence, 1.0
    )


PROBES = (Probe("purity", ("unseeded-randomness", "impure-function", "tracer-leak"), look),)
