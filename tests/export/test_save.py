"""What is written, that it is written whole or not at all, and what cannot be."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import verax as vx
from tests.export.cases import FixedSize, image_case, mlp_case, table_case, with_random_weights
from verax import export
from verax.data import Preprocessing, Schema
from verax.findings import InputError
from verax.network import Variables, as_network, from_functions

ARRAY = Schema("array", (4,), "float32")


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def by_hand(case):
    """The MLP in plain NumPy."""
    params = case.variables.params
    x = (case.raw - case.raw.mean(axis=0)) / case.raw.std(axis=0)
    hidden = np.maximum(x @ np.asarray(params["hidden"]["kernel"]) + np.asarray(params["hidden"]["bias"]), 0)
    logits = hidden @ np.asarray(params["output"]["kernel"]) + np.asarray(params["output"]["bias"])
    return {"outputs": logits, "probabilities": softmax(logits / case.temperature)}


def test_predictions_are_preprocessing_network_and_temperature(mlp, saved):
    found = export.load(saved).predict(mlp.raw)
    for name, expected in by_hand(mlp).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)  # sums of 16 float32 terms


def test_the_signature_says_what_it_is(saved):
    signature = export.load(saved).signature
    assert (signature.name, signature.task, signature.classes) == ("animals", "classification", ("cat", "dog", "owl"))
    assert (signature.inputs, signature.batch_sizes) == ({"": {"shape": [4], "dtype": "float32"}}, None)
    assert signature.outputs["probabilities"] == {"shape": [3], "dtype": "float32"}
    assert (signature.temperature, signature.facts, signature.rows_independent) == (1.7, {"accuracy": 0.5}, True)
    assert signature.weights["params/hidden/kernel"] == "float32[4,16]"
    assert {"preprocessing/0/mean", "temperature"} < set(signature.weights)
    assert not signature.expired
    assert signature.versions["jax"] == jax.__version__
    assert "cpu" in signature.platforms


def test_the_folder_holds_three_files(saved):
    assert sorted(path.name for path in saved.iterdir()) == [
        "program.stablehlo",
        "signature.json",
        "weights.safetensors",
    ]
    json.loads((saved / "signature.json").read_text())


def test_batch_statistics_are_those_of_training(tmp_path):
    case = image_case()
    found = case.save(tmp_path / "model.vx").predict(case.raw)["outputs"]
    inputs = case.raw.astype(np.float32) / 255
    expected, _ = case.network.apply(case.variables, jnp.asarray(inputs))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    alone = export.load(tmp_path / "model.vx").predict(case.raw[:1])["outputs"]
    np.testing.assert_allclose(alone, expected[:1], rtol=1e-4, atol=1e-5)


def test_a_binary_model_gives_two_probabilities(tmp_path, table):
    exported = table.save(tmp_path / "model.vx", temperature=2.0)
    found = exported.predict(table.raw)
    positive = 1 / (1 + np.exp(-found["outputs"][:, 0] / 2.0))
    np.testing.assert_allclose(found["probabilities"], np.stack([1 - positive, positive], axis=1), atol=1e-6)
    assert exported.classes == ("<=50K", ">50K")


def test_a_regressor_gives_values_and_takes_no_temperature(tmp_path):
    network = as_network(nn.Dense(1))
    variables = with_random_weights(network, jnp.zeros((2, 4)))
    write = partial(
        export.save, tmp_path / "model.vx", network=network, objective=vx.regression(), variables=variables,
        preprocessing=Preprocessing(), schema=ARRAY,
    )  # fmt: skip
    with pytest.raises(InputError, match="temperature is for tasks with logits, got one for task 'regression'"):
        write(temperature=1.0)
    exported = write()
    found = exported.predict(np.ones((3, 4), np.float32))
    np.testing.assert_array_equal(found["predictions"], found["outputs"])
    values = [prediction.value for prediction in exported.predict_rows(np.ones((3, 4), np.float32))]
    assert values == [float(value) for value in found["outputs"][:, 0]]
    assert exported.classes is None


def test_a_tree_of_inputs_and_of_outputs(tmp_path):
    def apply(params, x):
        return {"sum": x["left"] + x["right"][:, None] * params["w"][None], "right": x["right"]}

    network = from_functions(lambda key, x: {"w": jnp.ones(3)}, apply)
    raw = {"left": np.ones((5, 3), np.float32), "right": np.arange(5, dtype=np.float32)}
    objective = vx.objective_from_loss(lambda outputs, batch: outputs["right"])
    write = partial(
        export.save, tmp_path / "model.vx", network=network, objective=objective,
        variables=Variables({"w": jnp.full(3, 2.0)}, {}), preprocessing=Preprocessing(), schema=Schema("tree", (), ""),
    )  # fmt: skip
    with pytest.raises(InputError, match="raw must be given where the inputs are a tree"):
        write()
    exported = write(raw=raw)
    found = exported.predict(raw)
    np.testing.assert_array_equal(found["outputs"]["sum"], 1 + 2 * np.repeat(np.arange(5)[:, None], 3, axis=1))
    with pytest.raises(
        InputError, match="right: wrong-input: float32 of shape \\(examples\\) is expected, found int64"
    ):
        exported.predict({"left": raw["left"], "right": np.arange(5)})
    with pytest.raises(InputError, match="right: wrong-structure: an array is expected, found none"):
        exported.predict({"left": raw["left"]})


def test_every_kind_of_number_survives(tmp_path):
    params = {
        "bf16": jnp.full((2, 2), 1.5, jnp.bfloat16), "half": jnp.ones(3, jnp.float16), "int": jnp.arange(4),
        "byte": jnp.array(7, jnp.uint8), "mask": jnp.array([True, False]), "empty": jnp.zeros((0, 2)),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T, "plain": 2.5,
    }  # fmt: skip
    network = from_functions(lambda key, x: params, lambda params, x: x * params["plain"])
    exported = export.save(
        tmp_path / "model.vx", network=network, objective=vx.regression(), variables=Variables(params, {}),
        preprocessing=Preprocessing(), schema=ARRAY,
    )  # fmt: skip
    for name, leaf in params.items():
        stored = exported.weights[f"params/{name}"]
        assert stored.dtype == jnp.asarray(leaf).dtype
        np.testing.assert_array_equal(stored, np.asarray(leaf))


@pytest.fixture
def fixed():
    return image_case(FixedSize(), rows=70)


def test_where_a_symbolic_batch_is_impossible_fixed_sizes_are_exported(tmp_path, fixed):
    exported = fixed.save(tmp_path / "model.vx")
    assert exported.signature.batch_sizes == (1, 32)
    assert "InconclusiveDimensionOperation" in exported.signature.fixed_because
    assert sorted(exported.stablehlo) == [1, 32]
    assert (tmp_path / "model.vx" / "program_32.stablehlo").exists()


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 70])
def test_any_number_of_rows_goes_through_fixed_sizes(tmp_path, fixed, rows):
    exported = fixed.save(tmp_path / "model.vx")
    expected, _ = fixed.network.apply(fixed.variables, jnp.asarray(fixed.raw[:rows].astype(np.float32) / 255))
    np.testing.assert_allclose(exported.predict(fixed.raw[:rows])["outputs"], expected, rtol=1e-4, atol=1e-5)


def test_only_sizes_that_work_are_exported(tmp_path):
    def apply(params, x):
        return x.reshape((-1, 2, 4)).reshape((-1, 4)) @ params["w"]

    network = from_functions(lambda key, x: {"w": jnp.ones((4, 1))}, apply)
    case = mlp_case()._replace(network=network, objective=vx.regression(), temperature=None)
    variables = Variables({"w": jnp.ones((4, 1))}, {})
    exported = case.save(tmp_path / "model.vx", variables=variables)
    assert exported.signature.batch_sizes == (32,)
    with pytest.raises(InputError, match="it failed at every batch size"):
        case.save(tmp_path / "other.vx", variables=variables, batch_sizes=(1, 3))


def test_rows_that_depend_on_each_other_are_never_filled_up(tmp_path):
    class Coupled(FixedSize):
        @nn.compact
        def __call__(self, x, training: bool):
            return super().__call__(x - x.mean(axis=0, keepdims=True), training)

    exported = image_case(Coupled()).save(tmp_path / "model.vx", batch_sizes=(4, 8))
    raw = image_case(rows=8).raw
    assert exported.predict(raw)["outputs"].shape == (8, 3)
    with pytest.raises(InputError, match=r"as many rows as the model was exported for, \[4, 8\], got 5"):
        exported.predict(raw[:5])


def test_a_model_that_is_there_is_replaced_only_if_asked(tmp_path):
    path, case = tmp_path / "runs" / "model.vx", mlp_case()
    case.save(path, name="first")
    with pytest.raises(InputError, match=r"path must be free, but there is a model at .* overwrite=True"):
        case.save(path, name="second")
    assert export.load(path).signature.name == "first"
    case.save(path, name="second", overwrite=True)
    assert export.load(path).signature.name == "second"
    assert [entry.name for entry in path.parent.iterdir()] == ["model.vx"]


@pytest.mark.parametrize("what", ["a file", "a folder of something else"])
def test_something_else_is_never_replaced(tmp_path, what):
    path = tmp_path / "thesis"
    if what == "a file":
        path.write_text("chapter 1")
    else:
        path.mkdir()
        (path / "chapter").write_text("chapter 1")
    with pytest.raises(InputError, match="must be free or hold a model"):
        mlp_case().save(path, overwrite=True)
    assert path.exists()


def with_callback(params, x):
    return jax.pure_callback(lambda value: value, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variables": Variables({"key": jax.random.key(0)}, {})}, "params/key: unstorable-leaf: .*random key"),
        ({"variables": Variables({"name": "mlp"}, {})}, "params/name: .*an array of numbers is expected"),
        ({"variables": Variables({"w": jnp.ones(2, jnp.float8_e5m2)}, {})}, "params/w: .*found float8_e5m2. Cast it"),
        ({"variables": Variables({"a/b": jnp.ones(1), "a": {"b": jnp.ones(1)}}, {})}, "'params/a/b' twice"),
        ({"temperature": 0.0}, "temperature must be positive and finite, got 0.0"),
        ({"temperature": float("nan")}, "temperature must be positive and finite, got nan"),
        ({"batch_sizes": (0, 4)}, "batch_sizes must be positive whole numbers"),
        ({"facts": {"accuracy": float("nan")}}, "facts must be JSON values"),
        ({"facts": {"when": object()}}, "facts must be JSON values"),
        ({"network": from_functions(lambda key, x: {}, with_callback)}, "Take out callbacks and prints"),
        (
            {
                "network": from_functions(lambda key, x: {}, lambda params, x: x.sum()),
                "objective": vx.regression(),
                "temperature": None,
            },
            r"outputs must have the axis of examples first, \(batch, ...\), got float32\[\]",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(tmp_path, change, message):
    case = mlp_case()
    with pytest.raises(InputError, match=message):
        case.save(tmp_path / "runs" / "model.vx", **change)
    assert not list(tmp_path.rglob("*vx*"))


def test_a_failed_overwrite_keeps_the_old_model(tmp_path, monkeypatch):
    path, case = tmp_path / "model.vx", table_case()
    case.save(path, name="old")
    with pytest.raises(InputError, match="facts"):
        case.save(path, name="new", facts={"x": float("inf")}, overwrite=True)
    moves = []

    rename = type(path).rename

    def fail_once(self, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", fail_once)
    with pytest.raises(OSError, match="disk full"):
        case.save(path, name="new", overwrite=True)
    assert export.load(path).signature.name == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.vx"]
