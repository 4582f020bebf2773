import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import verax as vx
from verax.debug import show
from verax.models import MLP, ConvNet, ResNet, Transformer


class Deep(nn.Module):
    """Dense layers with relu, the second drawn with another standard deviation."""

    factor: float = 1.0
    width: int = 32

    @nn.compact
    def __call__(self, x):
        for layer in range(3):
            scale = 2.0 * (self.factor**2 if layer == 1 else 1.0)
            drawn = nn.initializers.variance_scaling(scale, "fan_in", "normal")
            x = nn.relu(nn.Dense(self.width, kernel_init=drawn)(x))
        return nn.Dense(3)(x)


INPUTS = np.zeros((5, 20), np.float32)


def by_path(shown):
    return {each.leaf.path: each for each in shown.leaves}


@pytest.fixture(scope="module")
def healthy():
    return show(Deep(), INPUTS)


def test_totals_are_those_counted_by_hand(healthy):
    assert healthy.total == 20 * 32 + 32 + 2 * (32 * 32 + 32) + 32 * 3 + 3
    assert healthy.flops == 2 * 5 * (20 * 32 + 2 * 32 * 32 + 32 * 3)
    # of each relu: its output, which the next layer's gradient needs, and whether it was positive, a byte each
    assert healthy.kept_bytes == 3 * 5 * 32 * (4 + 1)
    assert (healthy.inputs, healthy.outputs) == (("float32[5,20]",), ("float32[5,3]",))
    assert sum(each.share for each in healthy.leaves) == pytest.approx(1)


def test_the_table_holds_every_leaf_and_the_total(healthy):
    head, titles, *rows = str(healthy).splitlines()
    assert head == "Deep: float32[5,20] -> float32[5,3]"
    assert titles.split()[:4] == ["path", "shape", "dtype", "count"]
    assert [row.split()[0] for row in rows[:-1]] == [*by_path(healthy), "total"]
    assert rows[-2].split() == ["total", f"{healthy.total:,}", "27.8", "k", "2.4", "kB"]


def test_a_healthy_network_has_no_mark(healthy):
    assert healthy.findings == ()
    assert "of expected" not in str(healthy)
    expected = {path: each.expected_std for path, each in by_path(healthy).items() if path.endswith("kernel")}
    he, lecun = np.sqrt([2 / 20, 2 / 32, 2 / 32]), np.sqrt(1 / 32)
    np.testing.assert_allclose(list(expected.values()), [*he, lecun])
    assert all(by_path(healthy)[path].expected_std is None for path in by_path(healthy) if path.endswith("bias"))


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_layer_with_a_wrong_std_is_marked(factor):
    shown = show(Deep(factor), INPUTS)
    assert [each.leaf.path for each in shown.leaves if each.is_far_off] == ["Dense_1/kernel"]
    wrong = by_path(shown)["Dense_1/kernel"]
    assert wrong.ratio == pytest.approx(factor, rel=0.1)
    assert f"x{wrong.ratio:.2g} of expected" in str(shown)
    (finding,) = shown.findings
    assert (finding.id, str(finding.where)) == ("initial-scale", "Dense_1/kernel")
    assert "(before any layer)" not in str(shown)


MODELS = {
    "mlp": (MLP((16, 16, 3), dropout_rate=0.1), (4, 6, 6)),
    "mlp-gelu-layer": (MLP((16, 16, 3), activation="gelu", norm="layer"), (4, 6)),
    "mlp-tanh": (MLP((16, 16, 3), activation="tanh"), (4, 6)),
    "convnet": (ConvNet(3, (4, 8), (16,), dropout_rate=0.1), (2, 8, 8)),
    "resnet": (ResNet(3, (8, 16), (1, 1)), (2, 8, 8)),
    "resnet-plain": (ResNet(3, (8, 16), (1, 1), norm=None), (2, 8, 8)),
    "encoder": (Transformer(1, 2, 16, 8, classes=3), (2, 8, 5)),
    "language-model": (Transformer(2, 2, 16, 8, vocabulary=11, dropout_rate=0.1), (2, 8)),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    network, shape = MODELS[request.param]
    dtype = np.uint8 if request.param == "language-model" else np.float32
    return request.param, show(network, np.zeros(shape, dtype))


def test_no_model_of_verax_is_marked(model):
    name, shown = model
    assert shown.findings == ()
    assert (sum(each.expected_std is not None for each in shown.leaves) > 0) or name == "resnet"


def test_costs_of_the_layers_add_up(model):
    _, shown = model
    assert sum(each.flops or 0 for each in shown.leaves) == shown.flops > 0
    assert 0 < sum(each.kept_bytes or 0 for each in shown.leaves) <= shown.kept_bytes


FOLLOWS = {
    "elu": "elu", "gelu": "gelu", "leaky": "leaky_relu", "relu": "relu", "relu_where": "relu", "selu": "selu",
    "sigmoid": "sigmoid", "silu": "silu", "softmax": "exp", "tanh": "tanh", "layer_norm": "norm",
    "batch_norm": "norm", "residual": "residual", "last": "output",
}  # fmt: skip


def initialise_all(key, inputs):
    return {name: jnp.ones((6, 6)) for name in FOLLOWS} | {"table": jnp.ones((4, 6)), "state": jnp.ones((1, 6))}


def apply_all(params, inputs):
    x = params["table"][inputs]
    for name, function in {
        "elu": nn.elu, "gelu": nn.gelu, "leaky": nn.leaky_relu, "relu": nn.relu, "selu": nn.selu, "tanh": jnp.tanh,
        "sigmoid": nn.sigmoid, "silu": nn.silu, "relu_where": lambda x: jnp.where(x > 0, x, 0.0),
        "layer_norm": lambda x: (x - x.mean(1, keepdims=True)) * jax.lax.rsqrt(x.var(1, keepdims=True) + 1e-5),
        "batch_norm": lambda x: (x - params["state"]) / jnp.sqrt(params["state"] + 1e-5),
    }.items():  # fmt: skip
        x = function(x @ params[name])
    x = x + jnp.tanh(x) @ params["residual"]
    return nn.softmax(x @ params["softmax"]) @ params["last"]


def test_what_follows_a_layer_is_read_from_the_program():
    shown = show((initialise_all, apply_all), np.zeros(3, np.int32))
    assert {path: each.follows for path, each in by_path(shown).items() if each.follows} == {
        **FOLLOWS,
        "table": "embedding",
    }


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (nn.Dense(7), (3, 5), 2 * 3 * 5 * 7),
        (nn.Dense(7), (3, 4, 5), 2 * 12 * 5 * 7),
        (nn.Conv(8, (3, 5), padding="VALID"), (2, 10, 12, 4), 2 * (2 * 8 * 8 * 8) * (3 * 5 * 4)),
        (nn.Conv(8, (3, 3), strides=2, feature_group_count=2), (2, 10, 12, 4), 2 * (2 * 5 * 6 * 8) * (9 * 2)),
        (nn.ConvTranspose(6, (2, 2), strides=(2, 2)), (2, 5, 5, 3), 2 * (2 * 5 * 5 * 3) * (4 * 6)),
    ],
    ids=["dense", "dense-3d", "conv", "conv-strided-grouped", "conv-transposed"],
)
def test_flops_equal_the_formula(layer, shape, flops):
    shown = show(layer, np.zeros(shape, np.float32))
    assert shown.flops == flops
    assert by_path(shown)["kernel"].flops == flops


def test_flops_agree_with_the_compilers_count():
    network, inputs = nn.Dense(64, use_bias=False), jnp.zeros((32, 128))
    variables = network.init(jax.random.key(0), inputs)
    compiled = jax.jit(network.apply).lower(variables, inputs).compile()
    assert show(network, inputs).flops == pytest.approx(compiled.cost_analysis()["flops"], rel=0.01)


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x):
        step = nn.scan(Step, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return step()(x, None)[0]


class Step(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.relu(nn.Dense(x.shape[-1])(x)), None


def test_a_scanned_layer_counts_once_for_each_turn():
    shown = show(Scanned(), np.zeros((2, 4), np.float32))
    assert shown.flops == 3 * 2 * 2 * 4 * 4
    (kernel,) = (each for each in shown.leaves if each.leaf.path.endswith("kernel"))
    assert (kernel.leaf.shape, kernel.follows, kernel.scheme) == ((3, 4, 4), "relu", "He")


def test_a_recurrent_weight_is_a_layer():
    def init(key, inputs):
        return {"inner": jnp.ones((5, 4)), "recurrent": jnp.ones((4, 4))}

    def apply(params, inputs):  # examples time features
        def step(state, x):
            return jnp.tanh(x @ params["inner"] + state @ params["recurrent"]), None

        return jax.lax.scan(step, jnp.zeros((2, 4)), jnp.swapaxes(inputs, 0, 1))[0]

    shown = by_path(show((init, apply), np.zeros((2, 6, 5), np.float32)))
    assert {path: each.follows for path, each in shown.items()} == {"inner": "tanh", "recurrent": "tanh"}
    assert shown["recurrent"].flops + shown["inner"].flops == 6 * 2 * 2 * (5 * 4 + 4 * 4)
    assert shown["inner"].scheme == "Glorot"


def test_a_branch_counts_with_its_larger_side():
    def apply(params, inputs):
        return jax.lax.cond(
            inputs[0, 0] > 0, lambda x: x @ params["w"], lambda x: x @ params["w"] @ params["w"], inputs
        )

    shown = show((lambda key, x: {"w": jnp.eye(4)}, apply), np.zeros((2, 4), np.float32))
    assert shown.flops == 2 * 2 * (2 * 4 * 4)


def test_the_key_draws_the_weights(healthy):
    again, other = show(Deep(), INPUTS, key=jax.random.key(0)), show(Deep(), INPUTS, key=jax.random.key(1))
    assert healthy == again != other


def test_other_libraries_are_shown_alike():
    haiku = pytest.importorskip("haiku")
    network = haiku.transform(lambda x: haiku.Linear(3)(jax.nn.relu(haiku.Linear(8)(x))))
    shown = by_path(show(network, np.zeros((2, 4), np.float32)))
    assert [(each.leaf.path, each.follows) for each in shown.values() if each.follows] == [
        ("linear/w", "output"),  # the outer one is made first
        ("linear_1/w", "relu"),
    ]
    assert shown["linear_1/w"].expected_std == pytest.approx(np.sqrt(2 / 4))


def test_numbers_that_are_no_floats_and_few_numbers_are_not_judged():
    def init(key, inputs):
        return {"steps": jnp.zeros(3, jnp.int32), "few": 100 * jnp.ones((2, 2)).at[0].set(0.0)}

    shown = by_path(show((init, lambda params, x: x @ params["few"]), np.zeros((2, 2), np.float32)))
    assert shown["steps"].std is None
    assert shown["few"].ratio > 10
    assert not shown["few"].is_far_off


def test_json_holds_what_the_table_shows(healthy):
    content = json.loads(json.dumps(healthy.to_json()))
    assert content["total"] == healthy.total
    assert content["kept_bytes"] == healthy.kept_bytes
    kernel = next(each for each in content["leaves"] if each["path"] == "Dense_1/kernel")
    assert (kernel["shape"], kernel["scheme"], kernel["follows"]) == ([32, 32], "He", "relu")
    assert kernel["is_far_off"] is False
    assert content["findings"] == []


def test_what_is_no_network_is_said():
    with pytest.raises(TypeError, match="network must be"):
        show(3, INPUTS)


def test_running_statistics_are_counted_apart():
    shown = show(nn.Sequential([nn.Dense(4), lambda x: x]), INPUTS)
    assert shown.state_count == 0
    with_norm = vx.debug.show(MODELS["resnet"][0], np.zeros((2, 8, 8), np.float32))
    assert with_norm.state_count == 2 * (8 + 2 * 8 + 3 * 16)
    assert "Model state: 144 numbers." in str(with_norm)
