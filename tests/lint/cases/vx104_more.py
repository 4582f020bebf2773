"""VX104 consumed-key-returned: further forms, and look-alikes."""
import dataclasses
from typing import NamedTuple

import jax
from jax import lax, random


class Carry(NamedTuple):
    x: jax.Array
    key: jax.Array


def by_name(carry: Carry, _):
    x = carry.x + random.normal(carry.key)
    new = Carry(x, carry.key)
    return new, x  # expect: VX104


def kept_by_replace(carry: Carry, _):
    x = carry.x + random.normal(carry.key)
    return carry._replace(x=x), x  # expect: VX104


def in_dict(key, x):
    x = x + random.normal(key, x.shape)
    return {"x": x, "key": key}  # expect: VX104


def given_to_dataclasses_replace(state, key):
    x = random.normal(key)
    return dataclasses.replace(state, x=x, key=key)  # expect: VX104


def split_not_rebound(key, x):
    use, _ = random.split(key)
    return key, x + random.normal(use)  # expect: VX104


def one_end(key, x, flag):
    x = x + random.normal(key)
    if flag:
        return x, key  # expect: VX104
    key, _ = random.split(random.fold_in(key, 1))
    return x, key


def as_lambda(x, key, n):
    return lax.fori_loop(0, n, lambda i, c: (c[0] + random.normal(c[1]), c[1]), (x, key))  # expect: VX104


def indexed(carry, _):
    x = carry[0] + random.normal(carry[1])
    return (x, carry[1]), x  # expect: VX104


# What must stay silent.


def refreshed(carry: Carry, _):
    key, use = random.split(carry.key)
    return carry._replace(x=carry.x + random.normal(use), key=key), None


def folded(key, step, x):
    return key, x + random.normal(random.fold_in(key, step))


def made_here(seed):
    key = random.key(seed)
    return key, random.normal(key)


def exclusive(key, x, flag):
    if flag:
        return random.normal(key), None
    return x, key


def other_key(key, other):
    return random.normal(key), other


def shape_only(key):
    x = random.normal(key)
    return x, key.shape, key.dtype


def stacked(x, keys):
    return lax.scan(lambda x, key: (x + random.normal(key), key), x, keys)
