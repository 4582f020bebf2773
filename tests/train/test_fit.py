import inspect

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, experiment, same_bits
from verax.data import epoch_order
from verax.findings import InputError, Moment
from verax.train import chunks, fit, records


def linear(learning_rate: float = 0.1, l2: float = 0.0, epochs: int = 2):
    return experiment(optimizer=optax.sgd(learning_rate), objective=vx.classification(l2=l2), epochs=epochs)


@pytest.fixture(scope="module")
def run():
    return vx.train(linear, learning_rate=0.2)


def test_train_is_a_folder_that_can_be_called(run):
    assert same_bits(fit(linear, learning_rate=0.2).state, run.state)
    assert inspect.signature(vx.train) == inspect.signature(fit)
    assert vx.train.chunks is chunks


def test_every_hyperparameter_reaches_the_run(run):
    assert run.experiment.hyperparameters == {"learning_rate": 0.2, "l2": 0.0, "epochs": 2}
    assert not same_bits(vx.train(linear).state.variables, run.state.variables)
    assert not same_bits(vx.train(linear, learning_rate=0.2, l2=0.1).state.variables, run.state.variables)


def test_a_run_ends_where_its_chunks_end(run):
    *_, (state, _) = chunks(linear, learning_rate=0.2)
    assert same_bits(run.state, state)
    assert run.stop_reason == "all 14 steps were taken"
    assert (run.facts["steps"], run.facts["steps_per_epoch"]) == (14, 7)


def test_the_history_begins_and_ends_with_an_event(run):
    first, *between, last = run.history
    assert first.values == {
        "total_steps": 14,
        "steps_per_epoch": 7,
        "parameters": 15,
        "compile_seconds": first.values["compile_seconds"],
    }
    assert (last.kind, last.step, last.values["stopped"]) == ("event", 14, run.stop_reason)
    assert last.values["facts"] == run.facts
    assert [record.kind for record in between] == ["chunk", "epoch"] * 2


def test_records_can_be_watched_and_return_the_run(run):
    seen, steps = [], records(linear, learning_rate=0.2)
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            assert same_bits(end.value.state, run.state)
            assert tuple(seen) == end.value.history.records
            break


def test_training_lowers_the_loss(run):
    losses = run.history.series("train/loss")[1]
    assert losses[1] < losses[0]
    assert str(run).startswith("functions: 14 steps, all 14 steps were taken; train/loss")


def test_a_run_goes_on_from_another(run):
    more = vx.train(linear, learning_rate=0.2, epochs=1, initial=run)
    assert more.history.series("train/loss", "chunk")[1][0] < run.history.series("train/loss", "chunk")[1][0]


def test_nothing_is_written_unless_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vx.train(linear, epochs=1)
    assert list(tmp_path.iterdir()) == []


# Numbers that stop being finite.

BAD_ROW = 17
INPUTS, TARGETS = DATA["train"]
MARKED = {**DATA, "train": (np.where(np.arange(50)[:, None] == BAD_ROW, 7.25, INPUTS).astype(np.float32), TARGETS)}


def bad_gradient(outputs, batch):
    """A finite loss whose gradient at the marked row is that of a root at zero."""
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
    marked = batch.inputs[:, 0] == 7.25
    return losses + jnp.sqrt(jnp.where(marked, 0.0 * outputs[:, 0], 1.0))


def bad_loss(outputs, batch):
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
    return jnp.where(batch.inputs[:, 0] == 7.25, jnp.inf, losses)


def step_of_bad_row(epoch, seed=0):
    """The number of the step that takes the marked row, counted from 1 over the whole run."""
    return 7 * epoch + int(np.flatnonzero(epoch_order(50, seed, epoch) == BAD_ROW)[0]) // 8 + 1


def marked(losses, optimizer, **changes):
    return experiment(objective=vx.objective_from_loss(losses), optimizer=optimizer, data=MARKED, **changes)


@pytest.mark.parametrize("chunk_steps", [1, 3, 100])
@pytest.mark.parametrize("bad_step", [1, 5, 10, 14])
def test_the_first_step_that_is_not_finite_is_found_exactly(chunk_steps, bad_step):
    """A learning rate that is NaN at one step: the parameters are NaN at its end, and stay so."""
    rate = NAN_AT[bad_step]
    run = vx.train(experiment(optimizer=optax.sgd(rate), chunk_steps=chunk_steps))
    assert run.stop_reason == f"not finite at step {bad_step}"
    (finding,) = [finding for finding in run.findings if finding.severity == "error"]
    assert (finding.id, finding.where) == ("non-finite-loss", Moment(bad_step, 1 if bad_step <= 7 else 2))
    assert int(run.state.step) < bad_step + chunk_steps


NAN_AT = {step: optax.join_schedules([lambda _: 0.1, lambda _: jnp.nan], [step - 1]) for step in (1, 5, 10, 14)}


@pytest.mark.parametrize("losses", [bad_gradient, bad_loss])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_row_that_breaks_the_loss_or_its_gradient_is_found_at_its_step(losses, seed):
    run = vx.train(marked(losses, optax.adam(0.01), seed=seed))
    assert run.stop_reason == f"not finite at step {step_of_bad_row(0, seed)}"
    assert run.best is None and [record.kind for record in run.history].count("epoch") == 0


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(optax.zero_nans(), optax.sgd(0.1)),
        optax.apply_if_finite(optax.adam(0.01), 5),
        optax.chain(optax.zero_nans(), optax.clip(1.0), optax.adam(0.01)),
    ],
    ids=["zero-nans", "apply-if-finite", "clip"],
)
def test_gradients_that_the_optimizer_hides_are_reported_at_their_steps(optimizer):
    run = vx.train(marked(bad_gradient, optimizer))
    assert run.facts["gradients_watched"]
    assert run.stop_reason == "all 14 steps were taken"
    (finding,) = [finding for finding in run.findings if finding.severity == "error"]
    first = step_of_bad_row(0)
    assert (finding.id, finding.where) == ("non-finite-gradient", Moment(first, 1))
    assert f"at 2 steps, first at step {first}; the optimizer hides it" in finding.message
    steps = [step for record in run.history for step in record.values.get("nonfinite_gradient_steps", ())]
    assert steps == [step_of_bad_row(0), step_of_bad_row(1)]


def test_a_healthy_run_has_no_such_finding():
    run = vx.train(experiment(optimizer=optax.apply_if_finite(optax.adam(0.01), 5)))
    assert run.facts["gradients_watched"]
    assert not [finding for finding in run.findings if finding.severity == "error"]


# Wrong hyperparameters.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": 0.1}, r"unknown hyperparameter 'learning_rat'\. Did you mean 'learning_rate'\?"),
        ({"width": 3}, r"unknown hyperparameter 'width'\. It takes: learning_rate, l2, epochs\."),
    ],
)
def test_an_unknown_hyperparameter_is_refused_with_a_suggestion(given, message):
    with pytest.raises(InputError, match=message):
        vx.train(linear, **given)


def test_a_limit_in_wall_time_ends_the_run_with_the_averages_of_its_last_epoch():
    run = vx.train(experiment(epochs=None, seconds=0.2))
    assert run.stop_reason == "0.2 seconds were over"
    last = [record for record in run.history if record.kind == "epoch"][-1]
    assert last.step == int(run.state.step) > 0 and "validation/loss" in last.values
    within = vx.train(experiment(epochs=1, seconds=600.0))
    assert within.stop_reason == "all 7 steps were taken"


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf")])
def test_a_limit_that_is_none_is_refused(seconds):
    with pytest.raises(InputError, match="seconds must be a number above 0"):
        experiment(seconds=seconds)
