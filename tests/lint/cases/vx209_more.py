"""VX209 discarded-functional-result: more pure calls as statements, and calls for their effect."""
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from jax import lax, random


def attribute(state, grads):
    state.params["w"].at[0].add(1.0)  # expect: VX209
    return state


def in_loop(x, n):
    for i in range(n):
        x.at[i].multiply(2.0)  # expect: VX209
    return x


def mapped(grads):
    jax.tree.map(jnp.zeros_like, grads)  # expect: VX209
    jax.tree_util.tree_map(lambda g: g * 2, grads)  # expect: VX209
    return grads


def stopped(target):
    lax.stop_gradient(target)  # expect: VX209
    return target


def averaged(grads):
    jax.lax.pmean(grads, axis_name="batch")  # expect: VX209
    return grads


def replaced(state, config):
    state.replace(step=0)  # expect: VX209
    state._replace(step=0)  # expect: VX209
    dataclasses.replace(config, rate=0.1)  # expect: VX209
    return state


def edited(model):
    eqx.tree_at(lambda m: m.w, model, 0)  # expect: VX209
    return model


async def refreshed(key):
    random.fold_in(key, 1)  # expect: VX209
    return key


class Agent:
    def learn(self, grads):
        self.state.apply_gradients(grads=grads)  # expect: VX209
        return self.state

    def keep(self, grads):
        self.state = self.state.apply_gradients(grads=grads)
        return self.state


def printed(tree, text, frame, path):
    jax.tree.map(print, tree)
    jax.tree.map(lambda x: print(x.shape), tree)
    text.replace("a", "b")
    frame.replace(to_replace=1, value=2, inplace=True)
    path.replace("other")
    tree.set("a", 1)
    tree.at(0).set(1)


def fails(x):
    with pytest.raises(TypeError):
        x.at[0].set("a")
    with pytest.raises(ValueError):
        optax.apply_updates(x, None)


def yielded(x):
    yield x.at[0].set(1.0)
    return x.at[0].set(2.0)


def used(params, updates, x):
    params = optax.apply_updates(params, updates)
    _ = x.at[0].set(1.0)
    print(x.at[0].get())
    return params
