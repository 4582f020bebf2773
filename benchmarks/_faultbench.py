"""Reads a case of the faultbench format as the training program that a tool may see.

Only the text above the marked line is executed, compiled under a neutral name: what the benchmark's author knows, the
case's name and its file are not there for the doctor to read.
"""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path
from typing import Any

import jax

import verax as vx
from verax.doctor import TrainingProgram

MARK = "# ---- what the benchmark knows about this program"
NEUTRAL = "<program>"


def read_case(path: Path) -> TrainingProgram:
    """Returns the program of a case."""
    return program_of(names_of(path.read_text()))


def names_of(source: str) -> dict[str, Any]:
    """Returns the names that the text above the marked line defines."""
    module = types.ModuleType("program")
    sys.modules["program"] = module  # dataclasses and Flax modules look themselves up
    exec(compile(source.split(MARK)[0], NEUTRAL, "exec"), module.__dict__)
    return module.__dict__


def program_of(names: dict[str, Any]) -> TrainingProgram:
    """Returns the training program made of a case's names."""
    data = names["make_data"]()
    network, evaluate = ADAPTERS[names["FRAMEWORK"]](names["make_model"]())
    return TrainingProgram(
        network,
        names["loss_fn"],
        names["make_optimizer"](),
        train=(data["x_train"], data["y_train"]),
        test=(data["x_test"], data["y_test"]),
        task=names["TASK"],
        batch_size=names["BATCH_SIZE"],
        epochs=names["EPOCHS"],
        seed=names["SEED"],
        batches=names.get("make_batches"),
        evaluate=evaluate,
        evaluation_batch=names.get("EVAL_BATCH"),
        predict=names.get("predict"),
        probabilities=names.get("probabilities"),
        scored=names.get("score_mask"),
    )


# One adapter a library, with the calls of the benchmark's own harness: it passes a key in evaluation too, so that a
# program that is random there shows it. Each returns a network and how the trained program is asked.


def adapt_linen(model: Any) -> tuple[vx.Network, Any]:
    takes_train = "train" in inspect.signature(type(model).__call__).parameters

    def mode(train: bool) -> dict[str, bool]:
        return {"train": train} if takes_train else {}

    def init(key: Any, x: Any) -> vx.Variables:
        init_key, dropout_key = jax.random.split(key)
        variables = dict(model.init({"params": init_key, "dropout": dropout_key}, x, **mode(False)))
        return vx.Variables(variables.pop("params"), variables)

    def apply(variables: vx.Variables, x: Any, key: Any, train: bool) -> tuple[Any, Any]:
        params, state = variables
        rngs = {} if key is None else {"dropout": key}
        outputs = model.apply({"params": params, **state}, x, rngs=rngs, mutable=list(state) or False, **mode(train))
        return (outputs[0], {**state, **dict(outputs[1])}) if state else (outputs, state)

    return _network(init, apply, "linen", model)


def adapt_nnx(model: Any) -> tuple[vx.Network, Any]:
    from flax import nnx

    model.train()
    graph_train, params, rest = nnx.split(model, nnx.Param, ...)
    model.eval()
    graph_eval, _, _ = nnx.split(model, nnx.Param, ...)

    def init(key: Any, x: Any) -> vx.Variables:
        return vx.Variables(params, rest)

    def apply(variables: vx.Variables, x: Any, key: Any, train: bool) -> tuple[Any, Any]:
        state = jax.tree.map(lambda leaf: leaf, variables.model_state)  # fresh variables for this trace
        merged = nnx.merge(graph_train if train else graph_eval, variables.params, state)
        outputs = merged(x)
        return outputs, nnx.split(merged, nnx.Param, ...)[2]

    return _network(init, apply, "nnx", model)


def adapt_haiku(model: Any) -> tuple[vx.Network, Any]:
    import haiku

    stateful = isinstance(model, haiku.TransformedWithState)

    def init(key: Any, x: Any) -> vx.Variables:
        return vx.Variables(*(model.init(key, x, False) if stateful else (model.init(key, x, False), {})))

    def apply(variables: vx.Variables, x: Any, key: Any, train: bool) -> tuple[Any, Any]:
        if stateful:
            return model.apply(*variables, key, x, train)
        return model.apply(variables.params, key, x, train), variables.model_state

    return _network(init, apply, "haiku", model)


def adapt_equinox(model: Any) -> tuple[vx.Network, Any]:
    import equinox

    params, static = equinox.partition(model, equinox.is_inexact_array)

    def init(key: Any, x: Any) -> vx.Variables:
        return vx.Variables(params, {})

    def apply(variables: vx.Variables, x: Any, key: Any, train: bool) -> tuple[Any, Any]:
        merged = equinox.combine(variables.params, static)
        merged = merged if train else equinox.nn.inference_mode(merged)
        if key is None:
            return jax.vmap(merged)(x), variables.model_state
        keys = jax.random.split(key, x.shape[0])
        return jax.vmap(lambda row, row_key: merged(row, key=row_key))(x, keys), variables.model_state

    return _network(init, apply, "equinox", model)


def adapt_pair(model: Any) -> tuple[vx.Network, Any]:
    init_fn, apply_fn = model

    def init(key: Any, x: Any) -> vx.Variables:
        return vx.Variables(init_fn(key, x), {})

    def apply(variables: vx.Variables, x: Any, key: Any, train: bool) -> tuple[Any, Any]:
        return apply_fn(variables.params, x, train=train, key=key), variables.model_state

    return _network(init, apply, "functions", model)


def _network(init: Any, apply: Any, library: str, model: Any) -> tuple[vx.Network, Any]:
    def evaluate(variables: vx.Variables, x: Any, key: Any) -> Any:
        return apply(variables, x, key, False)[0]

    return vx.Network(init, apply, library=library, name=type(model).__name__), evaluate


ADAPTERS = {
    "linen": adapt_linen,
    "nnx": adapt_nnx,
    "haiku": adapt_haiku,
    "equinox": adapt_equinox,
    "pair": adapt_pair,
}
