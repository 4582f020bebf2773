"""Small trained-looking networks with their data, and ways to damage a model folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

import verax as vx
from verax import export
from verax.data import Column, Dataset, Examples, Preprocessing, Schema
from verax.export._signature import Signature, file_entry
from verax.network import Network, Variables, as_network, from_functions

CLASSES = ("cat", "dog", "owl")


class Case(NamedTuple):
    """All that `save` needs, and some raw rows."""

    network: Network
    objective: vx.Objective
    variables: Variables
    preprocessing: Preprocessing
    schema: Schema
    raw: Any
    temperature: float | None = None

    def save(self, path: Path, **others: Any) -> export.Exported:
        """Exports the case."""
        fields = self._asdict() | others
        fields.pop("raw")
        return export.save(path, **fields, **({"raw": self.raw} if self.schema.kind == "tree" else {}))

    def compare(self, path: Path, **others: Any) -> export.ReloadComparison:
        """Compares the case with its export in a fresh process."""
        arguments = self._asdict() | others
        fresh = arguments.pop("fresh", None)
        raw = arguments.pop("raw")
        arguments.pop("schema")
        return export.compare_reload(path, raw_inputs=raw, fresh=fresh, **arguments)


def with_random_weights(network: Network, inputs: Any, seed: int = 0) -> Variables:
    """Initial weights with noise on every number, so that biases and statistics matter too."""
    generator = np.random.default_rng(seed)
    variables = network.init(jax.random.key(seed), inputs)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(generator.uniform(0, 0.1, leaf.shape), leaf.dtype), variables)


def fitted(schema: Schema, raw: Any, *steps: Any) -> Preprocessing:
    """Steps fitted to some raw rows."""
    return Dataset("rows", schema, {"train": Examples(raw, np.zeros(len(raw), np.int32))}, steps).preprocessing


def mlp_case(rows: int = 7) -> Case:
    """A classifier of numbers from a pair of functions, with preprocessing and a temperature."""

    def init(key, x):
        first, second = jax.random.split(key)
        return {
            "hidden": {"kernel": jax.random.normal(first, (4, 16)), "bias": jnp.zeros(16)},
            "output": {"kernel": jax.random.normal(second, (16, 3)), "bias": jnp.zeros(3)},
        }

    def apply(params, x):
        hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])
        return hidden @ params["output"]["kernel"] + params["output"]["bias"][None]

    network = from_functions(init, apply, name="mlp")
    variables = with_random_weights(network, jnp.zeros((2, 4)))
    raw = np.random.default_rng(1).normal(2, 3, (rows, 4)).astype(np.float32)
    schema = Schema("array", (4,), "float32", classes=CLASSES)
    return Case(network, vx.classification(), variables, fitted(schema, raw, vx.data.standardise()), schema, raw, 1.7)


class ConvNet(nn.Module):
    """Convolution, BatchNorm, dropout."""

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.Conv(8, (3, 3))(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not training)(x))
        x = nn.max_pool(x, (2, 2), (2, 2)).reshape((x.shape[0], -1))
        x = nn.Dropout(0.5, deterministic=not training)(nn.Dense(16)(x))
        return nn.Dense(3)(x)


def image_case(module: nn.Module | None = None, rows: int = 7) -> Case:
    """A classifier of uint8 images from Linen."""
    network = as_network(module or ConvNet())
    raw = np.random.default_rng(2).integers(0, 256, (rows, 8, 8, 1), dtype=np.uint8)
    variables = with_random_weights(network, jnp.zeros((2, 8, 8, 1)))
    schema = Schema("image", (8, 8, 1), "uint8", classes=CLASSES)
    return Case(network, vx.classification(), variables, fitted(schema, raw, vx.data.scale_uint8()), schema, raw)


class FixedSize(nn.Module):
    """Works for one batch size at a time: a symbolic one cannot be turned into a Python number."""

    @nn.compact
    def __call__(self, x, training: bool):
        pieces = [x[row] for row in range(int(x.shape[0]))]
        return nn.Dense(3)(jnp.stack(pieces).reshape((x.shape[0], -1)))


def table_case() -> Case:
    """A binary classifier of a table with a number, a category, and a column with missing values."""
    columns = (Column("age"), Column("work", ("Private", "State")), Column("hours", missing=True))
    schema = Schema("table", (3,), "float32", columns, classes=("<=50K", ">50K"), target="income")
    network = as_network(nn.Dense(1))
    variables = with_random_weights(network, jnp.zeros((2, 4)))
    raw = np.array([[39, 1, 40], [50, 0, np.nan], [28, 0, 60]], np.float32)  # the mean of hours is 50
    preprocessing = fitted(schema, raw, vx.data.impute(), vx.data.one_hot())
    return Case(network, vx.binary(), variables, preprocessing, schema, raw)


def sign_again(folder: Path, **changes: Any) -> None:
    """Writes the signature anew over changed files and fields, as a forger would."""
    content = json.loads((folder / "signature.json").read_text())
    signature = replace(Signature.from_json(content), **changes)
    files = {name: file_entry(folder / name) for name in signature.files}
    (folder / "signature.json").write_text(json.dumps(replace(signature, files=files).to_json()))
