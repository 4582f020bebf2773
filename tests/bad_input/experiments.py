"""Experiments that are each wrong in one way, with what must be said about it. Also a file for `verax train`.

A row of `WRONG` is a name, a function that gives the wrong parts of an experiment, and patterns of the message.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import verax as vx

ROWS = 120
POINTS = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
LABELS = np.arange(ROWS, dtype=np.int32) % 3
SIDES = LABELS % 2
HEIGHTS = POINTS.sum(axis=1)


class Wrong(NamedTuple):
    name: str
    parts: Callable[[], dict[str, Any]]
    said: tuple[str, ...]


class Net(nn.Module):
    outputs: int = 3
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.outputs)(nn.relu(nn.Dense(self.hidden)(x)))


class Images(nn.Module):
    """Takes pictures of height, width and channels."""

    @nn.compact
    def __call__(self, x):
        batch, height, width, channels = x.shape
        return nn.Dense(3)(x.reshape(batch, height * width * channels))


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.Dropout(0.5)(x))


class Normalising(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.BatchNorm()(x))


class Mismatched(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.ones, (7, 3))
        return x @ kernel


class Branching(nn.Module):
    @nn.compact
    def __call__(self, x):
        if x.mean() > 0:
            x = -x
        return nn.Dense(3)(x)


class Misspelt(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.flatten_all())


class Undefined(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x) * temperature


class OnlyInTraining(nn.Module):
    """Fails in evaluation alone."""

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.Dense(3)(x)
        return x if training else x @ jnp.ones((5, 3))


class TwoOutputs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x), x


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, left, right):
        return nn.Dense(3)(left) + right


class Grouped(nn.Module):
    """Mixes the rows of a batch by four."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.reshape(-1, 16))


def source(inputs: Any = POINTS, targets: Any = LABELS, **names: Any) -> Any:
    return vx.data.from_arrays(inputs, targets, **names)


def data(inputs: Any = POINTS, targets: Any = LABELS, **names: Any) -> dict[str, Any]:
    return {"data": source(inputs, targets, **names)}


def changed(array: Any, row: int, value: Any, dtype: Any = None) -> Any:
    copied = np.array(array, dtype)
    copied[row] = value
    return copied


def custom(losses: Callable[..., Any], **options: Any) -> dict[str, Any]:
    return {"objective": vx.objective_from_loss(losses, **options)}


def unknown_metric() -> dict[str, Any]:
    return {"stopping": vx.EarlyStopping(metric="validation/acuracy")}


def failing_schedule(step: Any) -> Any:
    return {0: 0.1}[step]


def binary(inputs: Any = POINTS, targets: Any = SIDES, outputs: int = 1) -> dict[str, Any]:
    return {**data(inputs, targets), "network": Net(outputs), "objective": vx.binary()}


def regression(inputs: Any = POINTS, targets: Any = HEIGHTS, outputs: int = 1) -> dict[str, Any]:
    return {**data(inputs, targets), "network": Net(outputs), "objective": vx.regression()}


MINE = r"experiments\.py, line \d+: "

LABELLED = (
    Wrong(
        "a label as high as the classes",
        lambda: data(targets=changed(LABELS, 7, 3)),
        (r"label-out-of-range: labels must lie in \[0, 3\), found 3", r"row 7 of the data", "more outputs or correct"),
    ),
    Wrong(
        "a negative label",
        lambda: data(targets=changed(LABELS, 7, -1)),
        (r"labels must lie in \[0, 3\), found -1", r"\(1 label outside\)", "remove these rows"),
    ),
    Wrong(
        "labels counted from 1",
        lambda: data(targets=LABELS + 1),
        (r"labels must lie in \[0, 3\), found 3", "counted from 1", r"Pass labels - 1\."),
    ),
    Wrong(
        "one-hot labels",
        lambda: data(targets=np.eye(3, dtype=np.float32)[LABELS]),
        ("labels must be integer classes", r"found float32 of shape \(\d+, 3\): one-hot", r"argmax\(-1\)"),
    ),
    Wrong(
        "labels as floats",
        lambda: data(targets=LABELS.astype(np.float32)),
        ("labels must be integer classes", "found float32", r"Pass targets\.astype\(int\)"),
    ),
    Wrong(
        "numbers to a classifier",
        lambda: data(targets=HEIGHTS),
        ("labels must be integer classes", "found float32", r"use regression\(\)"),
    ),
    Wrong(
        "labels in a column",
        lambda: data(targets=LABELS[:, None]),
        (r"labels must have shape \(batch\)", r"found int32 of shape \(\d+, 1\)", r"targets\[:, 0\]"),
    ),
    Wrong(
        "text labels that are not among the classes",
        lambda: data(targets=np.array(["red", "gren", "blue"])[LABELS], classes=("red", "green", "blue")),
        ("targets must be among the classes", "got 'gren' at index 1", "Did you mean 'green'"),
    ),
    Wrong(
        "more classes by name than outputs",
        lambda: data(targets=np.array(["a", "b", "c", "d"])[np.arange(ROWS) % 4]),
        (r"labels must lie in \[0, 3\), found 3", "more outputs or correct"),
    ),
    Wrong(
        "a missing label",
        lambda: data(targets=np.array([None, "a", "b"], object)[LABELS]),
        ("targets must be numbers", "found object", "mixed types"),
    ),
    Wrong(
        "binary labels of -1 and 1",
        lambda: binary(targets=2 * SIDES - 1),
        (r"labels must lie in \[0, 2\), found -1", r"\(labels \+ 1\) // 2"),
    ),
    Wrong(
        "three classes to a binary classifier",
        lambda: binary(targets=LABELS),
        (r"labels must lie in \[0, 2\), found 2", r"use classification\(\)"),
    ),
    Wrong(
        "binary labels as floats",
        lambda: binary(targets=SIDES.astype(np.float32)),
        ("targets must be the integers 0 and 1", "found float32", "astype"),
    ),
)

VALUES = (
    Wrong(
        "a NaN among the inputs",
        lambda: data(changed(POINTS, 5, np.nan)),
        ("inputs must be finite", r"found nan in 1 of \d+ rows", r"row 5 of the data before splitting", "impute"),
    ),
    Wrong(
        "an Inf among the inputs",
        lambda: data(changed(POINTS, 5, np.inf)),
        ("inputs must be finite", "found inf", "Remove these rows, or correct them"),
    ),
    Wrong(
        "a NaN among the targets",
        lambda: regression(targets=changed(HEIGHTS, 5, np.nan)),
        ("targets must be finite", r"found nan in 1 of \d+ rows", "Remove these rows, or correct them"),
    ),
    Wrong(
        "numbers beyond float32",
        lambda: regression(targets=changed(HEIGHTS, 5, 1e300, np.float64)),
        ("targets must fit into float32", "found 1e\\+300", "Change the unit"),
    ),
    Wrong(
        "inputs of objects",
        lambda: data(POINTS.astype(object)),
        ("inputs must be numbers", r"found object of shape \(120, 4\)", "from_csv"),
    ),
    Wrong(
        "inputs of texts",
        lambda: data(POINTS.astype(str)),
        ("inputs must be numbers", "found <U", "from_csv"),
    ),
    Wrong(
        "complex inputs",
        lambda: data(POINTS.astype(np.complex64)),
        ("inputs must be numbers", "found complex64", "two columns"),
    ),
    Wrong(
        "rows of different lengths",
        lambda: data([[1.0, 2.0], [3.0]], [0, 1]),
        ("inputs must have rows of the same length", "different lengths"),
    ),
    Wrong(
        "all numbers missing in a standardised column",
        lambda: {
            "data": source(changed(POINTS, slice(None), np.nan)).preprocess(vx.data.impute(), vx.data.standardise())
        },
        ("impute needs at least one value in each column", "column '0' of train has none", "Leave it out"),
    ),
)

SHAPES = (
    Wrong(
        "more inputs than targets",
        lambda: data(targets=LABELS[:-1]),
        ("same number of rows", "found inputs 120, targets 119", "filtered alone"),
    ),
    Wrong(
        "no rows",
        lambda: data(POINTS[:0], LABELS[:0]),
        ("empty-split", r"inputs has no rows, shape \(0, 4\)", "Pass rows"),
    ),
    Wrong(
        "an empty validation split",
        lambda: {"data": {"train": (POINTS, LABELS), "validation": (POINTS[:0], LABELS[:0])}},
        ("validation: empty-split", r"inputs has no rows", "leave the split out"),
    ),
    Wrong(
        "a split of another width",
        lambda: {"data": {"train": (POINTS, LABELS), "test": (POINTS[:, :3], LABELS)}},
        ("test: split-mismatch", r"inputs must be float32\[4\] a row as in train, found float32\[3\]", "alike"),
    ),
    Wrong(
        "an unknown split",
        lambda: {"data": {"train": (POINTS, LABELS), "valid": (POINTS, LABELS)}},
        ("train, validation, calibration, test", "got 'valid'", "Did you mean 'validation'"),
    ),
    Wrong(
        "inputs alone in a split",
        lambda: {"data": {"train": POINTS}},
        (r"train must be a pair \(inputs, targets\)", "got ndarray"),
    ),
    Wrong(
        "a pair of arrays instead of a source",
        lambda: {"data": (POINTS, LABELS)},
        ("data must be a source", "got tuple", r"vx\.data\.from_arrays\(inputs, targets\)"),
    ),
    Wrong(
        "a batch larger than the data",
        lambda: {"batch_size": 500},
        (r"batch_size must lie in \[1, \d+\]", "found 500", "Choose a smaller batch"),
    ),
    Wrong(
        "splits that leave nothing to train on",
        lambda: {"data": source().split(test=60, validation=60)},
        ("120 rows, too few", "test 60, validation 60", r"\.split\("),
    ),
    Wrong(
        "a split fraction of percents",
        lambda: {"data": source().split(test=20.0)},
        ("test must be a fraction", r"got 20\.0"),
    ),
    Wrong(
        "rows to a network of pictures",
        lambda: {"network": Images()},
        (
            r"the network Images fails with inputs float32\[16,4\]",
            r"ValueError: not enough values to unpack \(expected 4, got 2\)",
            MINE + r"batch, height, width, channels = x\.shape",
            "Compare the shapes",
        ),
    ),
    Wrong(
        "targets in a column against flat outputs",
        lambda: {**regression(targets=HEIGHTS[:, None]), "network": (lambda key, x: x[0], lambda w, x: x @ w)},
        ("targets must have the shape of the outputs", r"found \(batch, 1\)", r"targets\[:, 0\]"),
    ),
)

NETWORKS = (
    Wrong(
        "a matrix that does not fit the inputs",
        lambda: {"network": Mismatched()},
        (
            r"the network Mismatched fails with inputs float32\[16,4\]",
            r"TypeError: dot_general .* got \(4,\) and \(7,\)",
            MINE + r"return x @ kernel",
            "Compare the shapes",
        ),
    ),
    Wrong(
        "an if on a traced value",
        lambda: {"network": Branching()},
        ("TracerBoolConversionError", MINE + r"if x\.mean\(\) > 0:", r"jax\.lax\.cond"),
    ),
    Wrong(
        "a misspelt method in the network",
        lambda: {"network": Misspelt()},
        ("the network Misspelt fails", "AttributeError: .*flatten_all", MINE, r"Correct that line"),
    ),
    Wrong(
        "a name that does not exist in the network",
        lambda: {"network": Undefined()},
        ("NameError: name 'temperature' is not defined", MINE + r"return nn\.Dense", "Correct that line"),
    ),
    Wrong(
        "a network that fails in evaluation alone",
        lambda: {"network": OnlyInTraining()},
        (r"dot_general .* got \(3,\) and \(5,\)", MINE + r"return x if training", "Compare the shapes"),
    ),
    Wrong(
        "weights of the wrong shape for a pair of functions",
        lambda: {"network": (lambda key, x: jnp.ones((5, 3)), lambda w, x: x @ w)},
        (r"the network \S+ fails with inputs float32\[16,4\]", r"got \(4,\) and \(5,\)", MINE),
    ),
    Wrong(
        "a network that mixes the rows of a batch",
        lambda: {"network": Grouped()},
        (r"outputs of a classifier must have the shape of the targets, \(16,\)", r"got \(4, 3\)", "Check the network"),
    ),
    Wrong(
        "a network that is a class",
        lambda: {"network": Net},
        ("network must be a Flax Linen module", "got the class Net", r"Make one of it: Net\("),
    ),
    Wrong(
        "a network that is a string",
        lambda: {"network": "mlp"},
        ("network must be a Flax Linen module, a Haiku transform, a pair of functions", "got str", r"vx\.Network"),
    ),
    Wrong(
        "a single function as network",
        lambda: {"network": lambda x: x},
        ("network must be .* a pair of functions", "got function", r"vx\.Network"),
    ),
    Wrong(
        "dropout without a mode",
        lambda: {"network": Dropping()},
        ("Dropping holds dropout", "none of `training`", "Add such an argument"),
    ),
    Wrong(
        "batch statistics without a mode",
        lambda: {"network": Normalising()},
        ("Normalising holds .*batch statistics", "none of `training`", "Add such an argument"),
    ),
    Wrong(
        "a network of two arguments",
        lambda: {"network": TwoInputs()},
        ("TwoInputs.__call__ needs right besides its inputs", r"vx\.call_with_kwargs"),
    ),
    Wrong(
        "a network that gives back two arrays",
        lambda: {"network": TwoOutputs()},
        (
            "the network must give one array for classification",
            r"got \{0: float32\[16,3\], 1: float32\[16,4\]\}",
            "the logits or numbers alone",
        ),
    ),
    Wrong(
        "one output to a classifier",
        lambda: {"network": Net(1)},
        ("two classes or more", r"found \(batch, 1\)", r"use binary\(\)"),
    ),
    Wrong(
        "two outputs to a binary classifier",
        lambda: binary(outputs=2),
        ("binary needs one logit a row", r"found \(batch, 2\)", r"one output, or use classification\(\)"),
    ),
    Wrong(
        "three outputs to a regressor of one number",
        lambda: regression(outputs=3),
        (r"targets must have the shape of the outputs \(batch, 3\)", r"found \(batch\)", "one output per target"),
    ),
)

LOSSES = (
    Wrong(
        "a mean loss",
        lambda: custom(lambda outputs, batch: jnp.mean(outputs)),
        ("the loss must have one value for each example", "got a scalar", "Leave out the mean"),
    ),
    Wrong(
        "a loss of another length",
        lambda: custom(lambda outputs, batch: outputs[:5, 0]),
        ("one value for each of the 16 examples", r"got shape \(5,\)"),
    ),
    Wrong(
        "a loss of a whole batch that is no scalar",
        lambda: custom(lambda outputs, batch: outputs[:, 0], per_example=False),
        ("a loss of the whole batch must be a scalar", r"got shape \(16,\)", "Take the mean"),
    ),
    Wrong(
        "a loss that cannot take the outputs",
        lambda: custom(lambda outputs, batch: jnp.square(outputs - batch.inputs)),
        (
            r"the loss fails with outputs float32\[16,3\], targets int32\[16\]",
            r"TypeError: .*\(16, 3\), \(16, 4\)",
            MINE + r"lambda: custom",
            "Compare the shapes",
        ),
    ),
    Wrong(
        "a loss that returns nothing",
        lambda: custom(lambda outputs, batch: None),
        ("the loss must be one array", "got NoneType", "Does its function return it"),
    ),
    Wrong(
        "a loss of whole numbers",
        lambda: custom(lambda outputs, batch: (outputs.argmax(-1) != batch.targets).astype(jnp.int32)),
        ("the loss must be floating-point", "got int32", "no gradient"),
    ),
    Wrong(
        "a loss of one argument",
        lambda: custom(lambda outputs: outputs[:, 0]),
        (r"the loss must take \(outputs, batch\)", r"got \(outputs\): too many positional arguments"),
    ),
    Wrong(
        "an objective that was not called",
        lambda: {"objective": vx.classification},
        (r"objective must be a vx\.Objective", "the function classification; call it", r"objective_from_loss"),
    ),
    Wrong(
        "an objective by name",
        lambda: {"objective": "classification"},
        (r"objective must be a vx\.Objective such as vx\.classification\(\)", "got str 'classification'"),
    ),
    Wrong(
        "a negative penalty",
        lambda: {"objective": vx.classification(l2=-1e-3)},
        ("l2 must be a number of at least 0", r"got -0\.001"),
    ),
    Wrong(
        "a penalty as text",
        lambda: {"objective": vx.classification(l2="small")},
        ("l2 must be a number of at least 0", "got 'small'"),
    ),
    Wrong(
        "an unknown task",
        lambda: custom(lambda outputs, batch: outputs[:, 0], task="ranking"),
        ("task must be one of classification, binary, regression, custom", "got 'ranking'"),
    ),
    Wrong(
        "a loss by name",
        lambda: custom("mse"),
        (r"the loss must be a function of \(outputs, batch\)", "got str 'mse'"),
    ),
)

OPTIMIZERS = (
    Wrong(
        "an optimizer that was not called",
        lambda: {"optimizer": optax.adam},
        ("optimizer must be an Optax transformation", "got the function adam; call it"),
    ),
    Wrong(
        "an optimizer by name",
        lambda: {"optimizer": "adam"},
        (r"optimizer must be an Optax transformation such as optax\.adam\(1e-3\)", "got str 'adam'"),
    ),
    Wrong(
        "a learning rate instead of an optimizer",
        lambda: {"optimizer": 1e-3},
        ("optimizer must be an Optax transformation", r"got float 0\.001"),
    ),
    Wrong(
        "a schedule that fails",
        lambda: {"optimizer": optax.sgd(failing_schedule)},
        ("the optimizer fails", "TypeError: .*unhashable|KeyError", MINE + r"return \{0: 0\.1\}\[step\]"),
    ),
    Wrong(
        "an optimizer for parameters that there are not",
        lambda: {"optimizer": optax.partition({"a": optax.sgd(0.1)}, {"head": "a"})},
        ("the optimizer fails with params", "ValueError", "Compare"),
    ),
)

NUMBERS = (
    Wrong("epochs and steps", lambda: {"steps": 3}, ("give epochs or steps, one of them", "got epochs=1, steps=3")),
    Wrong("no epochs and no steps", lambda: {"epochs": None}, ("give epochs or steps", "epochs=None, steps=None")),
    Wrong("no epoch", lambda: {"epochs": 0}, ("epochs must be a whole number of at least 1", "got 0")),
    Wrong("negative steps", lambda: {"epochs": None, "steps": -5}, ("steps must be a whole number", "got -5")),
    Wrong("half an epoch", lambda: {"epochs": 1.5}, ("epochs must be a whole number", r"got 1\.5")),
    Wrong("epochs that are true", lambda: {"epochs": True}, ("epochs must be a whole number", "got True")),
    Wrong("epochs as text", lambda: {"epochs": "3"}, ("epochs must be a whole number", "got '3'")),
    Wrong("batches of none", lambda: {"batch_size": 0}, ("batch_size must be a whole number of at least 1", "got 0")),
    Wrong("a float batch size", lambda: {"batch_size": 32.0}, ("batch_size must be a whole number", r"got 32\.0")),
    Wrong("a negative seed", lambda: {"seed": -1}, (r"seed must be a whole number in \[0, 2\*\*32\)", "got -1")),
    Wrong("a float seed", lambda: {"seed": 0.5}, ("seed must be a whole number", r"got 0\.5")),
    Wrong(
        "an unknown remainder",
        lambda: {"remainder": "keep"},
        ("remainder must be one of partial, wrap, drop", "'keep'"),
    ),
    Wrong("an unknown decay", lambda: {"decay": "none"}, ("decay must be one of weights, all", "got 'none'")),
    Wrong(
        "stopping as a number", lambda: {"stopping": 5}, (r"stopping must be a vx\.EarlyStopping or None", "got int 5")
    ),
    Wrong(
        "no patience",
        lambda: {"stopping": vx.EarlyStopping(patience=0)},
        ("patience must be a whole number of epochs, at least 1", "got 0"),
    ),
    Wrong(
        "a negative least change",
        lambda: {"stopping": vx.EarlyStopping(min_delta=-0.1)},
        ("min_delta must be a number of at least 0", r"got -0\.1"),
    ),
    Wrong(
        "an unknown metric to watch",
        unknown_metric,
        ("the metric must be one of validation/loss, validation/accuracy", "Did you mean 'validation/accuracy'"),
    ),
    Wrong(
        "stopping without a validation split",
        lambda: {"data": source().split(validation=0), "stopping": vx.EarlyStopping()},
        ("'validation/loss' cannot be watched", "no validation split", r"\.split\(\)"),
    ),
    Wrong(
        "steps of preprocessing not called",
        lambda: {"data": source().preprocess(vx.data.standardise)},
        ("standardise", r"Call it: standardise\(\)"),
    ),
)

WRONG = {row.name: row for row in (*LABELLED, *VALUES, *SHAPES, *NETWORKS, *LOSSES, *OPTIMIZERS, *NUMBERS)}


def sound_parts() -> dict[str, Any]:
    return {
        "network": Net(),
        "objective": vx.classification(),
        "optimizer": optax.adam(1e-2),
        "data": source(),
        "batch_size": 16,
        "epochs": 1,
    }


def experiment(fault: str = "", hidden: int = 4, unused: int = 0) -> vx.Experiment:
    """A small classifier with one thing wrong.

    Args:
      fault: the name of a row of `WRONG`; nothing is wrong without one.
      hidden: width of the hidden layer.
      unused: changes nothing.
    """
    parts = {**sound_parts(), "network": Net(hidden=hidden)}
    return vx.Experiment(**{**parts, **(WRONG[fault].parts() if fault else {})})
