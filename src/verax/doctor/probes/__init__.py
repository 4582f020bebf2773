"""The probes of the doctor, a file for each idea, in the order in which they look."""

from verax.doctor.probes import _run_answers, _run_fit, _run_modes, _run_numbers

CHECKS = ()
RUNS = tuple(probe for each in (_run_numbers, _run_modes, _run_fit, _run_answers) for probe in each.PROBES)

__all__ = ["CHECKS", "RUNS"]
