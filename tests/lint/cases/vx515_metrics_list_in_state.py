"""VX515 metrics-list-in-state: a compiled step makes a list of its state longer."""
import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct
from flax.training import train_state


class TrainState(train_state.TrainState):
    losses: list = struct.field(default_factory=list)


@jax.jit
def train_step(state, batch):
    loss = jnp.mean(batch)
    return state.replace(losses=state.losses + [loss])  # expect: VX515


@partial(jax.jit, donate_argnums=0)
def starred(state, batch):
    loss = jnp.mean(batch)
    return state.replace(step=state.step + 1, losses=[*state.losses, loss])  # expect: VX515


@jax.jit
def by_name(state, batch):
    losses = state.losses + (jnp.mean(batch),)
    return dataclasses.replace(state, losses=losses), batch  # expect: VX515


@jax.jit
def appended(state, batch):
    state.losses.append(jnp.mean(batch))  # expect: VX515
    return state


def plain_step(state, batch):
    return state._replace(losses=state.losses + [jnp.mean(batch)])  # expect: VX515


step = jax.jit(plain_step)


def body(carry, batch):
    return carry.replace(losses=[*carry.losses, jnp.mean(batch)]), None  # expect: VX515


def epoch(state, batches):
    return jax.lax.scan(body, state, batches)


def not_compiled(state, batch):
    return state.replace(losses=state.losses + [jnp.mean(batch)])


def loop(state, batches):
    losses = []
    for batch in batches:
        state, loss = returned_value(state, batch)
        losses.append(loss)
    return state, losses


@jax.jit
def returned_value(state, batch):
    loss = jnp.mean(batch)
    return state.replace(step=state.step + 1), loss


@jax.jit
def added(state, batch):
    return state.replace(total=state.total + jnp.mean(batch), count=state.count + 1)


@jax.jit
def fixed_length(state, batch):
    return state.replace(losses=[*state.losses[1:], jnp.mean(batch)])


@jax.jit
def written(state, batch):
    return state.replace(losses=state.losses.at[state.step].set(jnp.mean(batch)))


@jax.jit
def local_list(params, batch):
    outputs = []
    for layer in params:
        outputs.append(jnp.dot(batch, layer))
    return outputs


@jax.jit
def shapes(state, x):
    return state.replace(x=jnp.zeros(state.x.shape + (1,)))
