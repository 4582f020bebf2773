"""Running statistics that stand still or creep, and batches too small for statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.doctor.probes.by_hand import by_hand, perceptron, seen
from tests.doctor.programs import classifier, ids, suspected, waves
from verax.doctor._probe import NotApplicable
from verax.doctor._subject import subject_of
from verax.doctor.probes import _statistics

RUNNING, BATCH = _statistics.PROBES


class Normalised(nn.Module):
    momentum: float = 0.9
    running: bool | None = None

    @nn.compact
    def __call__(self, x, train: bool = False):
        running = not train if self.running is None else self.running
        x = nn.BatchNorm(use_running_average=running, momentum=self.momentum)(10 * nn.Dense(8)(x))
        return nn.Dense(1)(nn.relu(x))


def program(epochs=3, **changes):
    return by_hand(perceptron, network=Normalised(**changes), epochs=epochs)


def centred(update, start=0.0):
    """A perceptron that takes the mean and scale of its hidden layer from the batch in training."""

    def forward(params, x, training=False, state=None, **_):
        hidden = x @ params["hidden"] + 3.0
        mean, var = (hidden.mean(0), hidden.var(0)) if training else (state["mean"], state["var"])
        after = {"mean": 0.9 * state["mean"] + 0.1 * mean, "var": 0.9 * state["var"] + 0.1 * var}
        outputs = jnp.tanh((hidden - mean) / jnp.sqrt(var + 1e-5)) @ params["head"]
        return outputs, after if training and update else state

    return by_hand(forward, state={"mean": jnp.full(8, start), "var": jnp.ones(8)})


def test_statistics_that_creep_are_found_with_the_share_that_is_left():
    found = seen(RUNNING, program(momentum=0.999))
    assert ids(found) == ["stale-batch-stats"]
    assert "keep 0.999 a step, so 89% of their initial values are left after the 111 steps" in found.findings[0].message


def test_statistics_that_keep_almost_nothing_are_suspected():
    assert suspected(seen(RUNNING, program(momentum=0.1))) == ["stale-batch-stats"]


def test_the_usual_share_is_healthy():
    found = seen(RUNNING, program(momentum=0.9))
    assert found.findings == () and found.suspicions == ()


def test_the_repair_keeps_the_usual_share():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        subject = subject_of(program(momentum=0.1))
        suspicion = _statistics.look_at_running_statistics(subject).suspicions[0]
        kept = _statistics.running_statistics(suspicion.repairs[0].change(subject))
    np.testing.assert_allclose([each.share for each in kept], 0.9, atol=1e-3)


def test_statistics_that_are_not_carried_on_are_found():
    assert ids(seen(RUNNING, centred(update=False))) == ["stale-batch-stats"]
    assert ids(seen(RUNNING, centred(update=True))) == []


def test_initial_statistics_in_training_are_the_mode_of_evaluation():
    assert ids(seen(RUNNING, program(running=True))) == ["eval-mode-in-training"]


def test_statistics_that_were_measured_before_may_stay():
    def forward(params, x, state=None, **_):
        return jnp.tanh((x @ params["hidden"] - state["mean"]) / jnp.sqrt(state["var"])) @ params["head"]

    state = {"mean": jnp.linspace(-1.0, 1.0, 8), "var": jnp.linspace(1.0, 2.0, 8)}
    assert ids(seen(RUNNING, by_hand(forward, state=state))) == []


@pytest.mark.parametrize(("rows", "found"), [(2, ["batchnorm-small-batch"]), (16, [])])
def test_statistics_of_few_rows_are_found(rows, found):
    train, _ = waves()
    small = tuple(part[:64] for part in train)
    result = seen(BATCH, by_hand(perceptron, network=Normalised(), train=small, batch_size=rows))
    assert ids(result) == found


def test_a_network_without_statistics_is_not_asked():
    for probe in (RUNNING, BATCH):
        with pytest.raises(NotApplicable):
            seen(probe, classifier())
