import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.doctor.probes.linear import cross_entropy, seen
from tests.doctor.programs import subject, suspected
from verax.doctor import TrainingProgram
from verax.doctor.probes._padding import PROBES

STEPS = 10


def masked(outputs, targets):
    counts = (targets > 0).astype(outputs.dtype)
    return jnp.sum(cross_entropy(outputs, targets) * counts) / jnp.sum(counts)


def counted(outputs, targets):
    return cross_entropy(outputs, targets).mean(-1)


def scored(targets):
    return np.asarray(targets) > 0


def sequences(loss, *, longest: int = 8, at_end: bool = True, scored=scored) -> TrainingProgram:
    """Tokens 1 to 5 with a class of their own each; 0 is padding, or a class that may stand anywhere."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 6, (96, STEPS)).astype(np.int32)
    lengths = rng.integers(longest - 3, longest, 96)[:, None]
    padding = np.arange(STEPS) >= lengths if at_end else rng.random(x.shape) < 0.5
    x, y = np.where(padding & at_end, 0, x), np.where(padding, 0, (x % 3) + 1)

    def init(key, x):
        return jax.random.normal(key, (6, 4))

    pair = (x.astype(np.int32), y.astype(np.int32))
    network = (init, lambda params, x: params[x])
    return TrainingProgram(network, loss, optax.adam(1e-2), pair, pair, task="sequence", batch_size=24, scored=scored)


def test_finds_padding_that_is_scored_nowhere_and_has_a_slope():
    (finding,) = seen(PROBES, sequences(counted)).findings
    assert (finding.id, finding.severity, finding.part) == ("padding-in-loss", "error", "loss")


@pytest.mark.parametrize(
    "program",
    [lambda: sequences(counted, longest=10), lambda: sequences(counted, scored=None)],
    ids=["little of it", "scored with the rest"],
)
def test_leaves_to_a_repair(program):
    program = program()
    result = seen(PROBES, program)
    assert suspected(result) == ["padding-in-loss"] and not result.findings
    after = result.suspicions[0].repairs[0].change(subject(program))
    slope = jax.grad(after.mean_loss)(jnp.zeros((24, STEPS, 4)), after.batch)
    at_padding = np.asarray(after.batch.targets) == 0
    assert not np.any(np.asarray(slope)[at_padding]) and np.all(np.any(np.asarray(slope)[~at_padding], -1))


def test_is_quiet_about_a_mask():
    result = seen(PROBES, sequences(masked))
    assert not result.findings and not result.suspicions


def test_a_background_class_that_is_not_scored_is_no_padding_for_sure():
    assert not seen(PROBES, sequences(counted, at_end=False)).findings


def test_is_quiet_about_a_class_that_is_scored():
    result = seen(PROBES, sequences(counted, at_end=False, scored=None))
    assert not result.findings and not result.suspicions
