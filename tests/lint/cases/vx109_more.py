"""VX109 split-count-mismatch: further forms, and look-alikes."""
import jax
import jax.random as jr
from jax.random import split as split_key

COUNT = 4


def aliased(key):
    [a, b, c] = split_key(key)  # expect: VX109
    return a, b, c


def positional(key):
    a, b, c = jr.split(key, 2)  # expect: VX109
    return a, b, c


def named_count(key):
    a, b = jr.split(key, COUNT)  # expect: VX109
    return a, b


class Model:
    def __init__(self, key):
        self.a, self.b, self.c = jax.random.split(key)  # expect: VX109


def one_target(key):
    (a,) = jr.split(key, 1)
    return a


def sliced(key):
    a, b = jr.split(key, 3)[:2]
    return a, b


def stars(key, args):
    a, b, c = jr.split(key, *args)
    return a, b, c


def starred_short(key):
    a, *rest = jr.split(key)
    return a, rest


def rebound_count(key, flag):
    n = 2
    if flag:
        n = 3
    a, b, c = jr.split(key, n)
    return a, b, c


def other_split(jr, key):
    a, b, c = jr.split(key)
    return a, b, c
