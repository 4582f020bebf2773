"""The average of the weights is that of the formula, and is what a run with one hands on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verax as vx
from tests.train.cases import LINEAR, experiment, same_bits
from verax.findings import InputError
from verax.train import averaged_variables, load_run
from verax.train._average import first_average, next_average


def test_it_is_the_weighted_mean_of_the_weights_after_each_step():
    decay, states = 0.8, []
    for state, record in vx.train.chunks(experiment(ema=decay, chunk_steps=1, epochs=1)):
        if record.kind == "chunk":
            states.append(state)
    kernels = np.stack([np.asarray(state.variables.params["kernel"], np.float64) for state in states])
    weights = decay ** np.arange(len(states))[::-1]
    expected = np.tensordot(weights / weights.sum(), kernels, 1)
    np.testing.assert_allclose(averaged_variables(states[-1]).params["kernel"], expected, rtol=1e-5)


def test_before_the_first_step_it_is_the_weights():
    session = vx.train.prepare(experiment(ema=0.9))
    assert same_bits(averaged_variables(session.state).params, session.state.variables.params)


def test_the_weights_of_a_constant_run_are_their_own_average():
    params = {"w": jnp.full(3, 2.0)}
    average = first_average(params)
    for _ in range(5):
        average = next_average(average, params, 0.99)
    assert same_bits(average.params, params)


@pytest.mark.parametrize("decay", [0.9, 0.9999, 0.999999])
def test_it_is_right_for_averages_over_any_time(decay):
    """Against float64; 1 - decay and decay ** t lose their digits in float32 where the decay is near 1."""
    values = np.random.default_rng(0).normal(size=200) + 5.0
    average = first_average(jnp.float32(0))
    move = jax.jit(lambda average, value: next_average(average, value, decay))
    for value in values:
        average = move(average, jnp.float32(value))
    weights = decay ** np.arange(len(values), dtype=np.float64)[::-1]
    assert float(average.params) == pytest.approx(float(values @ weights / weights.sum()), rel=2e-6)


def test_both_are_scored_and_the_average_is_handed_on():
    run = vx.train(experiment(ema=0.9))
    last = [record for record in run.history if record.kind == "epoch"][-1].values
    assert last["validation/loss"] != last["ema_validation/loss"]
    assert same_bits(run.variables, run.weights("ema"))
    assert same_bits(run.weights("raw"), run.state.variables)
    batch = jax.tree.map(jnp.asarray, run.dataset.examples("validation"))
    rows = vx.Batch(*batch, jnp.ones(20))
    value = run.experiment.objective.bind(run.network)(run.weights("ema"), rows)
    assert last["ema_validation/loss"] == pytest.approx(float(value.total / value.weight), rel=1e-5)


def test_it_can_be_watched():
    stopping = vx.EarlyStopping(patience=1, min_delta=10.0, metric="ema_validation/loss")
    run = vx.train(experiment(ema=0.9, stopping=stopping, epochs=10))
    assert run.stop_reason.startswith("ema_validation/loss did not improve")
    with pytest.raises(InputError, match="ema_validation/loss"):
        vx.train(experiment(stopping=stopping))


def test_training_itself_does_not_change():
    assert same_bits(vx.train(experiment(ema=0.9)).state.variables, vx.train(experiment()).state.variables)


def test_it_survives_the_disk(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "import jax.numpy as jnp, optax, verax as vx\n"
        "def experiment():\n"
        "    data = (np.arange(20, dtype=np.float32)[:, None] / 10, np.arange(20) % 2)\n"
        "    network = (lambda key, x: jnp.zeros((1, 2)), lambda params, x: x @ params)\n"
        "    return vx.Experiment(network, vx.classification(), optax.sgd(0.1), vx.data.from_arrays(*data), 4, "
        "epochs=2, ema=0.9)\n"
    )
    function = vx.train.read_source(file).function("experiment")
    run = vx.train(function, out=tmp_path / "run")
    assert same_bits(load_run(tmp_path / "run").variables, run.variables)


def test_it_has_to_be_there():
    run = vx.train(experiment(network=LINEAR))
    with pytest.raises(InputError, match="kept no average"):
        run.weights("ema")
    with pytest.raises(InputError, match="between 0 and 1"):
        experiment(ema=1.0)
