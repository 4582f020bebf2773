"""What holds for every model of `vx.models`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export as jax_export

import verax as vx
from tests.models.cases import CASES, CLASSES, count, fast_key, init
from verax import export
from verax.models import MLP, ConvNet, ResNet, Transformer

OBJECTIVE = vx.classification()  # the mean over tokens too


class Started:
    """A case with its initial variables."""

    def __init__(self, name):
        self.name = name
        self.model, self.inputs, self.targets = CASES[name]
        self.network = vx.as_network(self.model)
        drawn = init(self.model, self.inputs)
        self.variables = vx.Variables(drawn.pop("params"), drawn)
        self.batch = vx.data.Batch(jnp.asarray(self.inputs), jnp.asarray(self.targets), jnp.ones(len(self.inputs)))


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return Started(request.param)


def test_outputs_have_the_shape_of_the_targets_and_the_classes(case):
    outputs, _ = jax.eval_shape(case.network.apply, case.variables, case.inputs)
    classes = 11 if case.name == "language-model" else CLASSES
    assert (outputs.shape, outputs.dtype) == ((*case.targets.shape, classes), jnp.float32)


def test_forward_and_gradient_pass_strict_promotion(case):
    def loss(params):
        value = OBJECTIVE.bind(case.network)(case.variables._replace(params=params), case.batch, fast_key())
        return value.total / value.weight

    grads = jax.eval_shape(jax.grad(loss), case.variables.params)
    assert vx.trees.differences(case.variables.params, grads) == []


def test_half_precision_stays_half_and_double_stays_double(case):
    def output_dtype(dtype):
        def narrow(leaf):
            return leaf.astype(dtype) if vx.trees.is_floating(leaf) else leaf

        arguments = jax.eval_shape(lambda *trees: jax.tree.map(narrow, trees), case.variables, case.inputs)
        return jax.eval_shape(case.network.apply, *arguments)[0].dtype

    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(True):  # Flax's normalisations widen by promotion
        assert output_dtype(jnp.bfloat16) == jnp.bfloat16
        assert output_dtype(jnp.float64) == jnp.float64


def test_it_can_be_exported_with_any_batch_size(case):
    (size,) = jax_export.symbolic_shape("b")
    inputs = jax.ShapeDtypeStruct((size, *case.inputs.shape[1:]), case.inputs.dtype)
    exported = jax_export.export(jax.jit(lambda variables, inputs: case.network.apply(variables, inputs)[0]))
    assert exported(case.variables, inputs).out_avals[0].shape[0] == size


def test_equal_models_are_equal_and_hashed_alike(case):
    again = case.model.clone()
    assert case.model == again
    assert hash(case.model) == hash(again)
    assert all(case.model != other.model for name, other in CASES.items() if name != case.name)


def test_statistics_move_in_training_alone(case):
    @jax.jit
    def states(variables, inputs, key):
        return case.network.apply(variables, inputs, key=key)[1], case.network.apply(variables, inputs)[1]

    trained, evaluated = states(case.variables, case.batch.inputs, fast_key())
    before = case.variables.model_state
    assert (count(before) > 0) == (getattr(case.model, "norm", None) == "batch")
    assert vx.trees.digest(evaluated) == vx.trees.digest(before)
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(trained), strict=True)
    assert not any(np.array_equal(*pair) for pair in pairs)


@pytest.mark.slow
def test_it_trains_and_is_exported(case, tmp_path):
    rows = (case.inputs, case.targets)
    data = vx.data.from_arrays(train=rows, validation=rows, calibration=rows, test=rows)
    run = vx.train(vx.Experiment(case.model, OBJECTIVE, optax.adam(1e-2), data, batch_size=len(rows[0]), steps=40))
    losses = run.history.series("train/loss", "chunk")[1]
    assert losses[-1] < 0.9 * losses[0]
    if case.name not in ("resnet", "language-model"):  # the others export too, but slowly
        return
    dataset = vx.data.load(data)
    exported = export.save(
        tmp_path / "model.vx",
        network=case.model,
        objective=OBJECTIVE,
        variables=run.state.variables,
        preprocessing=dataset.preprocessing,
        schema=dataset.schema,
    )
    assert exported.signature.batch_sizes is None  # a symbolic batch
    outputs, _ = case.network.apply(run.state.variables, case.batch.inputs[:4])
    found = exported.predict(case.inputs[:4])["outputs"]
    np.testing.assert_allclose(found, outputs, rtol=1e-5, atol=1e-5)  # fused otherwise: float32 rounding


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (MLP([128, 64, 10], dropout_rate=0.1), "MLP(inputs -> 128-64-10, relu, dropout 0.1)"),
        (MLP((10,), jnp.tanh, norm="batch"), "MLP(inputs -> 10, tanh, batch norm)"),
        (ConvNet(10, [8, 16], []), "ConvNet(images -> 8-16 conv 3x3, pool 2 -> 10, relu)"),
        (ResNet(10, norm="group"), "ResNet(images -> 16x3-32x3-64x3 blocks -> 10, relu, group norm)"),
        (
            Transformer(2, 4, 32, 16, classes=5),
            "Transformer(features x 16 -> 2 layers of 4 heads x 8 -> 5, gelu)",
        ),
    ],
    ids=["mlp", "mlp-function", "convnet", "resnet", "transformer"],
)
def test_repr_shows_the_shape(model, text):
    assert repr(model) == text


def test_a_traced_dropout_rate_shows_and_does_not_break():
    shown = []
    jax.eval_shape(lambda rate: shown.append(repr(MLP((4, 2), dropout_rate=rate))), 0.5)
    assert shown == ["MLP(inputs -> 4-2, relu, dropout traced)"]


IMAGE, TOKENS = np.zeros((2, 8, 8), np.float32), np.zeros((2, 8), np.int32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(()), "widths must hold at least one number"),
        (lambda: MLP(10), "widths must be a sequence of whole numbers"),
        (lambda: MLP((8, 0)), r"widths\[1\] must be a whole number of at least 1, got 0"),
        (lambda: MLP((8, 2.0)), r"widths\[1\] must be a whole number"),
        (lambda: MLP((8, 2), "rellu"), "Did you mean 'relu'"),
        (lambda: MLP((8, 2), dropout_rate=1.0), r"dropout_rate must be a number in \[0, 1\), got 1.0"),
        (lambda: MLP((8, 2), dropout_rate=jnp.zeros(3)), r"dropout_rate must be one number, got shape \(3,\)"),
        (lambda: MLP((8, 2), norm="bach"), "norm must be one of 'batch', 'layer', 'group', None, got 'bach'"),
        (lambda: ConvNet(10, padding="same"), "padding must be one of 'SAME', 'VALID', got 'same'"),
        (lambda: ResNet(10, (8, 16), (1,)), r"a number for each stage, got 2 widths \(8, 16\) and 1 blocks"),
        (lambda: ResNet(10, stem="big"), "stem must be one of 'small', 'large'"),
        (lambda: Transformer(1, 3, 8, 8, vocabulary=5), "heads must divide width, got heads=3 and width=8"),
        (lambda: Transformer(1, 2, 8, 8), "give vocabulary"),
        (lambda: Transformer(1, 2, 8, 8, vocabulary=5, padding=5), r"padding must be a token in \[0, 5\), got 5"),
        (lambda: Transformer(1, 2, 8, 8, vocabulary=5, std=0.0), "std must be positive"),
        (lambda: Transformer(0, 2, 8, 8, vocabulary=5), "layers must be a whole number of at least 1"),
        (lambda: MLP((8,), 2), "activation must be a name such as 'relu', or a function, got 2"),
        (lambda: apply(MLP((2,)), IMAGE.astype(np.uint8)), "inputs of MLP must be floating-point, got uint8 of shape"),
        (lambda: apply(ConvNet(2), np.zeros((2, 5), np.float32)), "inputs of ConvNet must be images"),
        (lambda: apply(ConvNet(2, (4,) * 4), IMAGE), "images of 8x8 are too small: layer 4 of ConvNet gets 1x1"),
        (lambda: apply(ResNet(2), TOKENS), "inputs of ResNet must be floating-point, got int32"),
        (lambda: apply(Transformer(1, 1, 4, 4, vocabulary=5), TOKENS), "8 positions, which is more than context=4"),
        (lambda: apply(Transformer(1, 1, 4, 8, vocabulary=5), IMAGE), "must be integer tokens"),
        (lambda: apply(Transformer(1, 1, 4, 8, classes=5), TOKENS), "must be floating-point, got int32"),
        (lambda: apply(Transformer(1, 1, 4, 8, classes=5), IMAGE[0]), "must be sequences"),
    ],
    ids=lambda value: "" if callable(value) else value[:40],
)
def test_a_bad_argument_is_said(make, message):
    with pytest.raises(vx.InputError, match=message):
        make()


def apply(model, inputs):
    return jax.eval_shape(model.init, jax.random.key(0), inputs)
