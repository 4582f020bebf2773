"""VX111 same-key-for-two-streams: further forms, and look-alikes."""
import jax
from flax import nnx
from jax import random


def through_name(model, key, x):
    rngs = {"params": key, "dropout": key}  # expect: VX111
    return model.init(rngs, x)


def through_alias(model, key, x):
    other = key
    return model.apply({}, x, rngs={"dropout": key, "noise": other})  # expect: VX111


def dict_call(model, key, x):
    return model.apply({}, x, rngs=dict(dropout=key, noise=key))  # expect: VX111


def same_seed(model, x):
    return model.init({"params": random.key(0), "dropout": random.key(0)}, x)  # expect: VX111


def attribute(state, x):
    return state.apply_fn({}, x, rngs={"dropout": state.key, "noise": state.key})  # expect: VX111


def seeds():
    return nnx.Rngs(params=0, dropout=0)  # expect: VX111


def with_output(model, rng, x):
    return model.init_with_output({"params": rng, "dropout": rng}, x)  # expect: VX111


def different_seeds():
    return nnx.Rngs(0, dropout=1), nnx.Rngs(params=0, dropout=1)


def one_stream(model, key, x):
    return model.apply({}, x, rngs={"dropout": key})


def items(model, key, x):
    keys = random.split(key, 2)
    return model.init({"params": keys[0], "dropout": keys[1]}, x)


def sequence(model, rng, x):
    return model.init({"params": next(rng), "dropout": next(rng)}, x)


def optimizer(tx, w):
    return tx.init({"w": w, "v": w})


def rebound(model, key, x):
    key, sub = random.split(key)
    return model.init({"params": key, "dropout": sub}, x)


@jax.jit
def per_name(model, key, x):
    names = ("params", "dropout")
    return model.init({name: random.fold_in(key, i) for i, name in enumerate(names)}, x)


def alias(model, rng, x):
    other = rng
    return model.init(dict(params=rng, dropout=other), x)  # expect: VX111
