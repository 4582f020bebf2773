"""Networks, losses, optimizers and numbers that are wrong, with what must be said; rows as in `wrong_data.py`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

import verax as vx
from tests.bad_input.networks import (
    Branching,
    Dropping,
    Grouped,
    Mismatched,
    Misspelt,
    Net,
    Normalising,
    OnlyInTraining,
    TwoInputs,
    TwoOutputs,
    Undefined,
)
from tests.bad_input.wrong_data import Wrong, binary, regression, source


def custom(losses: Callable[..., Any], **options: Any) -> dict[str, Any]:
    return {"objective": vx.objective_from_loss(losses, **options)}


def unknown_metric() -> dict[str, Any]:
    return {"stopping": vx.EarlyStopping(metric="validation/acuracy")}


def failing_augmentation(key: Any, batch: Any) -> Any:
    return batch._replace(inputs=batch.inputs @ jnp.ones((7, 3)))


def failing_schedule(step: Any) -> Any:
    return {0: 0.1}[step]


NETWORKS = (
    Wrong(
        "a matrix that does not fit the inputs",
        lambda: {"network": Mismatched()},
        (
            r"the network Mismatched fails with inputs float32\[16,4\]",
            r"TypeError: dot_general .* got \(4,\) and \(7,\)",
            r"networks\.py, line \d+: return x @ kernel",
            "Compare the shapes",
        ),
    ),
    Wrong(
        "an if on a traced value",
        lambda: {"network": Branching()},
        ("TracerBoolConversionError", r"networks\.py, line \d+: if x\.mean\(\) > 0:", r"jax\.lax\.cond"),
    ),
    Wrong(
        "a misspelt method in the network",
        lambda: {"network": Misspelt()},
        ("the network Misspelt fails", "AttributeError: .*flatten_all", r"networks\.py, line", "Correct that line"),
    ),
    Wrong(
        "a name that does not exist in the network",
        lambda: {"network": Undefined()},
        (
            "NameError: name 'temperature' is not defined",
            r"networks\.py, line \d+: return nn\.Dense",
            "Correct that line",
        ),
    ),
    Wrong(
        "a network that fails in evaluation alone",
        lambda: {"network": OnlyInTraining()},
        (
            r"dot_general .* got \(3,\) and \(5,\)",
            r"networks\.py, line \d+: return x if training",
            "Compare the shapes",
        ),
    ),
    Wrong(
        "weights of the wrong shape for a pair of functions",
        lambda: {"network": (lambda key, x: jnp.ones((5, 3)), lambda w, x: x @ w)},
        (r"the network \S+ fails with inputs float32\[16,4\]", r"got \(4,\) and \(5,\)", r"wrong_parts\.py, line"),
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
            r"wrong_parts\.py, line \d+: lambda: custom",
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
        ("task must be one of classification, binary, multilabel, regression", "got 'ranking'"),
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
        "a learning rate as text",
        lambda: {"optimizer": optax.chain(optax.clip_by_global_norm(1.0), optax.adamw("0.1"))},
        ("the optimizer needs numbers", "its learning rate is a text", "Give a number, or a schedule"),
    ),
    Wrong(
        "a schedule that fails",
        lambda: {"optimizer": optax.sgd(failing_schedule)},
        (
            "the optimizer fails",
            "TypeError: .*unhashable|KeyError",
            r"wrong_parts\.py, line \d+: return \{0: 0\.1\}\[step\]",
        ),
    ),
    Wrong(
        "an optimizer for parameters that there are not",
        lambda: {"optimizer": optax.partition({"a": optax.sgd(0.1)}, {"head": "a"})},
        ("the optimizer fails with params", "ValueError", "Compare"),
    ),
)

NUMBERS = (
    Wrong("epochs and steps", lambda: {"steps": 3}, ("give epochs or steps, one of them", "got epochs=1, steps=3")),
    Wrong("no epochs and no steps", lambda: {"epochs": None}, ("give epochs, steps or seconds", "Got none")),
    Wrong("half precision", lambda: {"precision": "half"}, ("precision must be one of float32, bfloat16, float16",)),
    Wrong("a pattern by itself", lambda: {"freeze": "Conv_0"}, ("freeze must be a tuple of patterns", "got 'Conv_0'")),
    Wrong("a pattern of nothing", lambda: {"freeze": ("Conv_9",)}, ("'Conv_9' matches no parameter", "They are: ")),
    Wrong("more parts than rows", lambda: {"accumulate": 10**6}, ("accumulate must be at most batch_size",)),
    Wrong("an average of all", lambda: {"ema": 1.0}, ("ema must be a decay between 0 and 1", "got 1.0")),
    Wrong("no time", lambda: {"seconds": 0}, ("seconds must be a number above 0", "got 0")),
    Wrong("an augmentation by name", lambda: {"augment": "flip"}, ("augment must be a function", "'flip'")),
    Wrong(
        "an augmentation that fails",
        lambda: {"augment": failing_augmentation},
        (
            r"the augmentation fails with inputs float32\[16,4\], targets int32\[16\]",
            r"wrong_parts\.py, line \d+: return batch\._replace",
        ),
    ),
    Wrong(
        "an augmentation that gives inputs alone",
        lambda: {"augment": lambda key, batch: batch.inputs},
        ("the augmentation must return a Batch", r"Return batch\._replace"),
    ),
    Wrong(
        "an augmentation that loses examples",
        lambda: {"augment": lambda key, batch: batch._replace(inputs=batch.inputs[:5])},
        ("must keep the 16 examples", r"got inputs float32\[5,4\]"),
    ),
    Wrong(
        "an augmentation that the network cannot take",
        lambda: {"augment": lambda key, batch: batch._replace(inputs=batch.inputs[:, :3])},
        (r"the network Net fails with augmented inputs float32\[16,3\]",),
    ),
    Wrong(
        "an augmentation that the loss cannot take",
        lambda: {"augment": vx.data.augment.mixup(0.2, classes=5)},
        (r"distributions must have a column for each of 3 classes, got shape \(16, 5\)",),
    ),
    Wrong("watching as text", lambda: {"watch": "yes"}, ("watch must be True or False", "got 'yes'")),
    Wrong("a limit as a number", lambda: {"limits": 0.1}, ("limits must be a dict", "latency_p99_seconds")),
    Wrong(
        "an unknown limit",
        lambda: {"limits": {"latency_p9_seconds": 0.1}},
        ("unknown limit 'latency_p9_seconds'", "Did you mean 'latency_p99_seconds'"),
    ),
    Wrong(
        "a limit of nothing",
        lambda: {"limits": {"calibration_error": 0.0}},
        ("limit calibration_error must be a positive number", r"got 0\.0"),
    ),
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

PARTS = (*NETWORKS, *LOSSES, *OPTIMIZERS, *NUMBERS)
