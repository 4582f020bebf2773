"""Weights from a run, a file or another library in a network's variables."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from safetensors.numpy import save_file

import verax as vx
from tests.train.cases import MLP, experiment
from verax.findings import InputError
from verax.network import as_network
from verax.train import base_key, purpose_key, save_state, transfer


class Pictures(nn.Module):
    """A convolution, batch statistics and two dense layers."""

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.relu(nn.Conv(4, (3, 3), padding="SAME")(x))
        x = nn.BatchNorm(use_running_average=not training, epsilon=1e-5)(x)
        x = nn.relu(nn.Dense(6)(x.reshape((x.shape[0], -1))))
        return nn.Dense(3)(x)


IMAGES = np.random.default_rng(0).normal(size=(5, 6, 6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def pictures():
    network = as_network(Pictures())
    return network, jax.jit(network.init)(jax.random.key(0), IMAGES)


def torch_state(seed=1):
    """The named arrays of the same network in PyTorch's layout: (out, in, height, width) and (out, in)."""
    random = np.random.default_rng(seed)
    shapes = {
        "features.0.weight": (4, 2, 3, 3),
        "features.0.bias": (4,),
        "features.1.weight": (4,),
        "features.1.bias": (4,),
        "features.1.running_mean": (4,),
        "features.1.running_var": (4,),
        "head.0.weight": (6, 144),
        "head.0.bias": (6,),
        "head.2.weight": (3, 6),
        "head.2.bias": (3,),
    }
    state = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    state["features.1.running_var"] = np.abs(state["features.1.running_var"]) + 0.5
    return {**state, "features.1.num_batches_tracked": np.array(7)}


def torch_forward(state, images):
    """What PyTorch computes of them, written with plain loops; images are (examples, channels, height, width)."""
    weight, bias = state["features.0.weight"], state["features.0.bias"]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    x = np.zeros((len(images), 4, 6, 6))
    for row in range(6):
        for column in range(6):
            patch = padded[:, :, row : row + 3, column : column + 3]
            x[:, :, row, column] = np.einsum("nchw,ochw->no", patch, weight) + bias
    x = np.maximum(x, 0)
    mean, variance, scale, offset = (
        state[f"features.1.{name}"][None, :, None, None] for name in ("running_mean", "running_var", "weight", "bias")
    )
    x = (x - mean) / np.sqrt(variance + 1e-5) * scale + offset
    x = np.maximum(x.reshape(len(x), -1) @ state["head.0.weight"].T + state["head.0.bias"], 0)
    return x @ state["head.2.weight"].T + state["head.2.bias"]


TORCH_PATHS = {
    "features.0.weight": "Conv_0/kernel",
    "features.0.bias": "Conv_0/bias",
    "features.1.weight": "BatchNorm_0/scale",
    "features.1.bias": "BatchNorm_0/bias",
    re.compile(r"features\.1\.running_(mean|var)"): r"model_state/batch_stats/BatchNorm_0/\1",
    "*.num_batches_tracked": None,
    re.compile(r"head\.(\d)\.weight"): lambda match: f"Dense_{int(match[1]) // 2}/kernel",
    re.compile(r"head\.(\d)\.bias"): lambda match: f"Dense_{int(match[1]) // 2}/bias",
}


def channels_last(kernel):
    """PyTorch flattens (channels, height, width), Linen (height, width, channels)."""
    return kernel.reshape(6, 4, 6, 6).transpose(2, 3, 1, 0).reshape(144, 6)


TORCH_LAYOUT = {"features.0.weight": (2, 3, 1, 0), "head.0.weight": channels_last, "head.2.weight": (1, 0)}


@pytest.mark.parametrize("through_a_file", [False, True], ids=["dict", "safetensors"])
def test_a_network_of_another_library_gives_the_same_outputs(pictures, tmp_path, through_a_file):
    network, drawn = pictures
    source = state = torch_state()
    if through_a_file:
        source = tmp_path / "model.safetensors"
        save_file(state, source)
    moved = transfer(source, drawn, paths=TORCH_PATHS, transforms=TORCH_LAYOUT)
    outputs, _ = network.apply(moved.variables, IMAGES)
    np.testing.assert_allclose(outputs, torch_forward(state, IMAGES.transpose(0, 3, 1, 2)), rtol=2e-4, atol=2e-4)
    assert (len(moved.taken), moved.new, moved.unused) == (10, (), ())
    assert moved.taken["BatchNorm_0/scale"] == "features.1.weight"
    plain, _ = network.apply(drawn, IMAGES)
    assert np.abs(np.asarray(outputs) - np.asarray(plain)).max() > 0.1  # the planted fault: nothing taken


def test_haikus_names_fit_a_linen_network_and_it_trains_on():
    given = {"mlp/~/linear_0": {"w": np.full((4, 8), 0.1, np.float32), "b": np.ones(8, np.float32)}}
    chosen = experiment(network=MLP(), optimizer=optax.sgd(0.0), epochs=1)
    moved = transfer(
        given,
        chosen,
        paths={re.compile(r".*linear_(\d)/w"): r"Dense_\1/kernel", re.compile(r".*linear_(\d)/b"): r"Dense_\1/bias"},
        new=["Dense_1"],
    )
    run = vx.train(chosen, initial=moved)
    np.testing.assert_array_equal(run.state.variables.params["Dense_0"]["kernel"], given["mlp/~/linear_0"]["w"])
    assert moved.new == ("Dense_1/bias", "Dense_1/kernel")


def test_what_is_new_is_what_the_experiments_seed_draws():
    chosen = experiment(network=MLP(), epochs=1, seed=3)
    inputs = jnp.zeros((8, 4))
    drawn = as_network(MLP()).init(purpose_key(base_key(3), "init"), inputs)
    moved = transfer({"Dense_0": {"bias": np.ones(8, np.float32)}}, chosen, strict=False)
    assert dict(moved.taken) == {"Dense_0/bias": "Dense_0/bias"}
    np.testing.assert_array_equal(moved.variables.params["Dense_1"]["kernel"], drawn.params["Dense_1"]["kernel"])


@pytest.fixture(scope="module")
def run():
    return vx.train(experiment(network=MLP(), epochs=1))


@pytest.fixture(scope="module")
def drawn():
    network = as_network(MLP())
    return jax.jit(network.init)(jax.random.key(9), jnp.zeros((8, 4)))


def same(tree, other):
    return vx.trees.digest(tree) == vx.trees.digest(other)


def test_a_run_its_variables_a_saved_state_and_a_dict_of_linen_give_the_same(run, drawn, tmp_path):
    folder = save_state(tmp_path / "run" / "checkpoints" / "final", run.state)
    sources = [run, run.state, run.variables, folder, str(tmp_path / "run"), {"params": run.variables.params}]
    for source in sources:
        moved = transfer(source, drawn)
        assert same(moved.variables, run.state.variables) and not same(moved.variables, drawn)
    weights = save_state(tmp_path / "params", run.variables.params)  # a state of parameters alone
    assert same(transfer(weights, drawn).variables, run.state.variables)


def test_the_head_may_be_new_whatever_the_source_has_for_it(run):
    wider = as_network(nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(5)])).init(jax.random.key(0), jnp.zeros((8, 4)))
    paths = {"Dense_0/*": "layers_0/*", "Dense_1/*": "layers_2/*"}
    moved = transfer(run, wider, paths=paths, new=["layers_2"])
    assert sorted(moved.taken.values()) == ["Dense_0/bias", "Dense_0/kernel"] and moved.unused == ()
    np.testing.assert_array_equal(
        moved.variables.params["layers_0"]["kernel"], run.variables.params["Dense_0"]["kernel"]
    )
    np.testing.assert_array_equal(moved.variables.params["layers_2"]["kernel"], wider.params["layers_2"]["kernel"])
    with pytest.raises(
        InputError, match=r"layers_2/kernel: expected shape \(8, 5\), found \(8, 3\) from Dense_1/kernel"
    ):
        transfer(run, wider, paths=paths, strict=False)


def test_floats_take_the_networks_type_and_others_must_have_it(drawn):
    half = jax.tree.map(lambda leaf: np.asarray(leaf, np.float16), drawn.params)
    moved = transfer(half, drawn)
    assert {leaf.dtype for leaf in jax.tree.leaves(moved.variables)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(
        moved.variables.params["Dense_0"]["kernel"], drawn.params["Dense_0"]["kernel"], rtol=1e-3
    )
    codes = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.int32), drawn.params)
    with pytest.raises(InputError, match=r"Dense_0/bias: expected float32\[8\], found int32\[8\]"):
        transfer(codes, drawn)


def test_it_says_what_came_of_every_leaf(drawn):
    source = {"old": {"bias": np.zeros(8, np.float32)}, "extra": np.zeros(2, np.float32)}
    moved = transfer(source, drawn, paths={"old/*": "Dense_0/*"}, strict=False)
    assert str(moved).splitlines() == [
        "1 taken, 3 new, 1 unused",
        "  Dense_0/bias <- old/bias",
        "  Dense_0/kernel: new",
        "  Dense_1/bias: new",
        "  Dense_1/kernel: new",
        "  extra: unused",
    ]


DENSE = {
    "Dense_0": {"bias": np.zeros(8, np.float32), "kernel": np.zeros((4, 8), np.float32)},
    "Dense_1": {"bias": np.zeros(3, np.float32), "kernel": np.zeros((8, 3), np.float32)},
}
FLAT = {f"{layer}.{name}": leaf for layer, leaves in DENSE.items() for name, leaf in leaves.items()}


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        (
            {**DENSE, "extra": np.zeros(1)},
            {},
            "extra: goes to extra, which the network does not have. Map it, or send it to None",
        ),
        ({"Dense_0": DENSE["Dense_0"]}, {}, "Dense_1/bias: the source has nothing for it. Add it to new, or to paths"),
        (
            DENSE,
            {"transforms": {"Dense_0/kernel": (1, 0)}},
            r"expected shape \(4, 8\), found \(8, 4\) \(before its .*\(4, 8\)\)",
        ),
        (
            DENSE,
            {"transforms": {"Dense_0/kernel": (1, 0, 2)}},
            r"the order of its axes must name 2 of them, got \(1, 0, 2\)",
        ),
        (DENSE, {"transforms": {"Conv_*": (1, 0)}}, r"transforms: 'Conv_\*' matches nothing. They are: Dense_0/bias"),
        (DENSE, {"new": ["head"]}, "new: 'head' matches nothing"),
        (DENSE, {"paths": {"conv*": "Conv_*"}}, r"paths: 'conv\*' matches no name in the source"),
        (DENSE, {"paths": {"*/*": "Dense_0/*"}}, r"'Dense_0/\*' must have as many \* as '\*/\*', 2, found 1"),
        (FLAT, {"paths": {"*.bias": "Dense_0/bias"}}, "Dense_0/bias: both Dense_0.bias and Dense_1.bias go there"),
        ("missing.safetensors", {}, "missing.safetensors must be a .safetensors file, but there is no such file"),
        ("nowhere", {}, "nowhere must be the folder of a finished run.*there is no such file"),
        ({"name": "text"}, {}, "source must be a run, .* but name is str"),
        ({}, {}, "source must be a run, .* but it is empty"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_with_the_reason(drawn, source, changes, message):
    with pytest.raises(InputError, match=message):
        transfer(source, drawn, **changes)


def test_all_problems_are_named_at_once(drawn):
    source = {"Dense_0": {"bias": np.zeros(9, np.float32)}, "extra": np.zeros(1, np.float32)}
    with pytest.raises(InputError) as error:
        transfer(source, drawn)
    assert len(str(error.value).splitlines()) == 1 + 1 + 3 + 1


def test_a_damaged_file_is_refused(drawn, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"not safe")
    with pytest.raises(InputError, match=r"bad.safetensors must be a .safetensors file, but it cannot be read"):
        transfer(tmp_path / "bad.safetensors", drawn)
    folder = save_state(tmp_path / "state", drawn)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="is damaged"):
        transfer(folder, drawn)
    with pytest.raises(InputError, match="none of these"):
        transfer(tmp_path, drawn)


def test_a_wrong_template_is_refused():
    with pytest.raises(InputError, match=r"template must be vx.Variables, a run or an Experiment, got dict"):
        transfer(DENSE, DENSE)


def test_random_streams_of_a_network_are_left_alone():
    keyed = vx.Variables({"w": jnp.zeros(2)}, {"stream": jax.random.key(3)})
    moved = transfer({"w": np.ones(2, np.float32)}, keyed)
    assert float(moved.variables.params["w"][0]) == 1
    np.testing.assert_array_equal(
        jax.random.key_data(moved.variables.model_state["stream"]), jax.random.key_data(jax.random.key(3))
    )
