"""Signal by layer: dead and flat layers, scales of the weights, vanishing gradients, and what only looks like it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from tests.doctor.programs import HEALTHY, MLP, classifier, digits, ids, regressor, subject, suspected
from verax.doctor._probe import NotApplicable
from verax.doctor._subject import Subject
from verax.doctor.probes._repairs_of_weights import normalised_gradients, steepened, with_initial
from verax.doctor.probes._signal import signal_of
from verax.doctor.probes._signal_probe import PROBES, look, signal_findings
from verax.network import Variables

init = nn.initializers


@pytest.fixture(autouse=True)
def standard():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Deep(nn.Module):
    """A perceptron whose layers are drawn as told."""

    kernel: object = init.lecun_normal()
    bias: object = init.zeros
    activation: object = nn.relu
    widths: tuple[int, ...] = (32, 32)
    norm: bool = False
    head: object = init.lecun_normal()

    @nn.compact
    def __call__(self, x):
        for width in self.widths:
            x = nn.Dense(width, kernel_init=self.kernel, bias_init=self.bias)(x)
            x = self.activation(nn.LayerNorm()(x) if self.norm else x)
        return nn.Dense(10, kernel_init=self.head)(x)


def seen(**changes):
    return look(subject(classifier(network=Deep(**changes))))


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_programs_raise_nothing(program):
    result = look(subject(program()))
    assert not ids(result) and not result.suspicions
    assert "layers on" in result.compared


def test_a_layer_that_never_fires_is_proved_dead():
    (finding,) = seen(bias=init.constant(-6.0)).findings
    assert (finding.id, finding.severity, finding.confidence, finding.part) == ("dying-relu", "error", 1.0, "model")
    assert str(finding.where) == "Dense_0/kernel" and "all 32 rectified units" in finding.message
    assert any("100%" in line for line in finding.evidence)


def test_a_layer_of_which_little_is_left_is_suspected_and_its_biases_are_the_repair():
    biases = lambda key, shape, dtype=jnp.float32: jnp.where(jnp.arange(shape[0]) < 0.8 * shape[0], -6.0, 0.0)  # noqa: E731
    result = seen(bias=biases)
    assert suspected(result)[:1] == ["dying-relu"] and not ids(result)
    repaired = result.suspicions[0].repairs[0].change(subject(classifier(network=Deep(bias=biases))))
    assert not np.any(repaired.variables.params["Dense_0"]["bias"])
    layers = signal_of(repaired, repaired.variables).layers
    assert layers.layers[0].silent is not None and layers.layers[0].silent < 0.2


def test_a_third_of_a_wide_layer_may_be_silent():
    biases = lambda key, shape, dtype=jnp.float32: jnp.where(jnp.arange(shape[0]) % 3 == 0, -9.0, 0.0)  # noqa: E731
    result = seen(bias=biases, widths=(96, 96))
    assert not ids(result) and not result.suspicions


def test_units_at_their_flat_ends_are_suspected_and_the_repair_brings_them_back():
    result = seen(kernel=init.normal(5.0), activation=nn.tanh)
    assert suspected(result) == ["saturated-activation"]  # and not the scales that explain it, a second time
    repaired = result.suspicions[0].repairs[0].change(subject(classifier(network=Deep(init.normal(5.0)))))
    kernel = np.asarray(repaired.variables.params["Dense_0"]["kernel"])
    assert np.sqrt(np.mean(kernel**2)) == pytest.approx(1 / 8, rel=0.02)


@pytest.mark.parametrize("activation", [nn.sigmoid, nn.tanh])
def test_bounded_units_at_work_are_not(activation):
    assert not seen(activation=activation).suspicions


def test_saturation_that_comes_from_the_inputs_is_no_matter_of_weights():
    (x, y), _ = digits()
    program = classifier(network=Deep(activation=nn.tanh), train=(1000 * x, y))
    assert "saturated-activation" not in suspected(look(subject(program)))


def test_large_weights_are_suspected_where_nothing_normalises():
    result = seen(kernel=init.normal(1.0))
    assert suspected(result) == ["exploding-initialization"]
    repaired = result.suspicions[0].repairs[0].change(subject(classifier(network=Deep(init.normal(1.0)))))
    scales = [weight.scale for weight in signal_of(repaired, repaired.variables).weights.values()]
    np.testing.assert_allclose(scales[:2], 1.0, rtol=0.03)
    assert not seen(kernel=init.normal(1.0), norm=True).suspicions


def test_small_weights_are_suspected_but_not_at_the_head():
    result = seen(kernel=init.normal(1e-3))
    assert suspected(result) == ["vanishing-initialization"]
    for head in (init.zeros, init.normal(1e-4)):
        assert not seen(head=head).suspicions
    assert not seen(kernel=init.normal(1e-3), norm=True).suspicions


def test_signals_that_die_in_many_layers_of_rectifiers_are_suspected():
    assert suspected(seen(widths=(16,) * 14)) == ["vanishing-initialization"]  # 1 / sqrt(2) a layer
    assert not seen(widths=(16,) * 14, kernel=init.he_normal()).suspicions


def test_gradients_that_vanish_layer_by_layer_are_suspected():
    result = seen(activation=nn.sigmoid, widths=(32,) * 9)
    (suspicion,) = result.suspicions
    assert suspicion.finding.id == "vanishing-gradient" and "over 10 layers" in suspicion.finding.message
    assert len(suspicion.repairs) == 2 and not ids(result)


def test_no_threshold_is_absolute():
    tiny = regressor(loss=lambda outputs, y: 1e-8 * (outputs.reshape(-1) - y) ** 2)
    assert not look(subject(tiny)).suspicions


@pytest.mark.slow
def test_steeper_sigmoids_train_where_the_others_stand_still():
    program = subject(classifier(network=Deep(activation=nn.sigmoid, widths=(32,) * 9), optimizer=optax.sgd(0.1)))
    (suspicion,) = look(program).suspicions
    before, after = (_loss_after(each, 150) for each in (program, suspicion.repairs[0].change(program)))
    assert before > 2.2 and after < 1.5


def test_only_hidden_sigmoids_are_made_steeper():
    def network(params, x):
        return nn.sigmoid(nn.sigmoid(x @ params) @ params)

    params, x = jnp.eye(3), jnp.ones((2, 3))
    expected = nn.sigmoid(2 * jnp.tanh(x @ params / 2) @ params)
    np.testing.assert_allclose(jax.jit(steepened(network, {0}))(params, x), expected, rtol=1e-6)


def test_gradients_get_the_norm_of_the_longest():
    program = normalised_gradients().change(subject(classifier(optimizer=optax.sgd(1.0))))
    grads = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([1e-6, 0.0]), "c": jnp.zeros(2)}
    updates, _ = program.optimizer.update(grads, program.optimizer.init(grads), grads)
    np.testing.assert_allclose([np.linalg.norm(updates[name]) for name in "abc"], [5, 5, 0], rtol=1e-5)


def test_initial_weights_are_changed_by_path():
    program = subject(classifier())
    changed = with_initial(program, {"Dense_0/kernel": 3.0}, ["Dense_1/kernel"])
    kernels = [each.variables.params for each in (program, changed)]
    np.testing.assert_allclose(3 * kernels[0]["Dense_0"]["kernel"], kernels[1]["Dense_0"]["kernel"], rtol=1e-6)
    assert not np.any(kernels[1]["Dense_1"]["kernel"])


def test_the_signal_at_other_weights_says_when():
    program = subject(classifier(network=MLP((16, 16))))
    params = jax.tree.map(lambda leaf: leaf, program.variables.params)
    params["Dense_1"]["bias"] = params["Dense_1"]["bias"] - 1e3
    result = signal_findings(program, Variables(params, program.variables.model_state), "at the end")
    assert ids(result) == ["dying-relu"] and result.findings[0].message.startswith("at the end all 16 ")


def test_a_program_without_layers_is_not_judged():
    mean = (lambda key, x: jnp.zeros(10), lambda params, x: jnp.zeros((x.shape[0], 1)) + params)
    with pytest.raises(NotApplicable, match="no layer with weights"):
        look(subject(classifier(network=mean)))


def test_the_probe_names_what_it_finds():
    assert "dying-relu" in PROBES[0].ids and PROBES[0].stage == "check"


def _loss_after(program: Subject, steps: int) -> float:
    (params, state), opt_state = program.variables, program.opt_state

    @jax.jit
    def step(params, state, opt_state, batch, key):
        (loss, (_, state)), grads = jax.value_and_grad(program.objective, has_aux=True)(params, state, batch, key)
        updates, opt_state = program.optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), state, opt_state, loss

    batches = [batch for epoch in range(8) for batch in program.batches_of(epoch)][:steps]
    losses = []
    for number, batch in enumerate(batches):
        params, state, opt_state, loss = step(params, state, opt_state, batch, program.noise(number))
        losses.append(loss)
    return float(np.mean(losses[-10:]))
