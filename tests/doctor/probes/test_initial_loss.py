from tests.doctor.probes.linear import classes, cross_entropy, numbers, seen, squares
from verax.doctor.probes._initial_loss import PROBES


def told(program):
    return [(finding.id, finding.severity) for finding in seen(PROBES, program).findings]


def test_says_that_the_first_loss_is_far_off():
    assert told(classes(cross_entropy, lambda x: 100 * x)) == [("bad-initial-loss", "info")]


def test_says_that_a_constant_would_do_better():
    assert told(numbers(squares, shift=300.0)) == [("output-bias-mismatch", "info")]
