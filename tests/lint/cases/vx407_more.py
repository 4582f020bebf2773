"""VX407 more: ways to an untyped key (opt-in)."""
import functools

import jax
import jax.random as jr
from jax import random as rnd
from jax.random import key, split, PRNGKey as make_key  # expect: VX407

keys = [jr.PRNGKey(seed) for seed in range(3)]  # expect: VX407
init = functools.partial(jax.jit, static_argnums=0)(rnd.PRNGKey)  # expect: VX407


class Sampler:
    new = staticmethod(jax.random.PRNGKey)  # expect: VX407

    def PRNGKey(self, seed):
        return seed

    def draw(self):
        return self.PRNGKey(0)


def current():
    return key(0), jr.key(1), split(rnd.key(2)), make_key


def own(jr):
    return jr.PRNGKey(0)
