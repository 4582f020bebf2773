"""VX305 use-after-donation: branches, loops, attributes; and reads that come before or touch nothing."""
import functools

import jax
import jax.numpy as jnp
from flax import nnx


@functools.partial(jax.jit, donate_argnames="state")
def step(batch, state):
    return state + batch.mean()


class Trainer:
    def __init__(self, state):
        self.state = state
        self._update = jax.jit(lambda s, b: s + b, donate_argnums=(0,))

    def wrong(self, batch):
        new = self._update(self.state, batch)
        return new, self.state.sum()  # expect: VX305

    def right(self, batch):
        self.state = self._update(self.state, batch)
        return self.state.sum()


def in_a_branch(state, batch, log):
    new = step(batch, state=state)
    if log:
        print(state)  # expect: VX305
    return new


def second_pass(state, batches):
    out = []
    for batch in batches:
        out.append(step(batch, state))  # expect: VX305
    return out


def same_statement(state, batch):
    return step(batch, state) + state  # expect: VX305


async def awaited(state, batch):
    new = step(batch, state)
    del batch
    return jnp.stack([new, state])  # expect: VX305


def rebound_in_both(state, batch, flag):
    new = step(batch, state)
    if flag:
        state = new
    else:
        state = new * 2
    return state


def other_branch(state, batch, flag):
    if flag:
        new = step(batch, state)
    else:
        new = state + 1
    return new


def returned(state, batch, flag):
    if flag:
        return step(batch, state)
    return state


def shapes(state, batch):
    new = step(batch, state)
    print(state.shape, state.dtype, state is None, isinstance(state, jax.Array))
    return new


def loop_rebinds(state, batches):
    for batch in batches:
        new = step(batch, state)
        state = new
    return state


def while_rebinds(state, batch):
    while True:
        state = step(batch, state)
        if state.sum() > 3:
            return state


def for_target(states, batch):
    return [step(batch, state) for state in states]


def each(states, batch):
    out = []
    for state in states:
        out.append(step(batch, state))
    return out


def test_deleted(state, batch):
    new = step(batch, state)
    try:
        print(state)
    except RuntimeError:
        pass
    return new


@nnx.jit(donate_argnums=0)
def train(model, batch):
    return model(batch)


def with_nnx(model, batch):
    train(model, batch)
    return train(model, batch)


class Trainer:
    def __init__(self, step, state):
        self.step, self.state = step, state
        self.fast = jax.jit(step, donate_argnums=(0,))

    def run(self, batch):
        state = self.fast(self.state, batch)
        change = state - self.state  # expect: VX305
        self.state = state
        return change

    def run_on(self, batches):
        for batch in batches:
            self.state = self.fast(self.state, batch)
        return self.state


def of_a_function_that_is_given(function, params, batch):
    step = jax.jit(function, donate_argnums=(0, 1))
    new, _ = step(params, batch)
    return new - batch  # expect: VX305


def structure(params, batch, function):
    step = jax.jit(function, donate_argnums=(0, 1))
    new = step(params, batch)
    width = batch["x"].shape[-1]
    names = list(batch["x"].keys())
    del batch["y"]
    jax.tree.map(lambda leaf: leaf.delete(), params)
    return new, width, names
