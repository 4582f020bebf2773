"""VX513 has-aux-mismatch: more ways a loss is given and returns."""
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax import grad, value_and_grad


def pair(params, x):
    loss = jnp.mean(params * x)
    out = loss, {"loss": loss}
    return out


def one(params, x):
    loss = jnp.mean((params - x) ** 2)
    return loss


def three(params, x):
    return jnp.mean(params * x), params, x


def all_branches(params, x, flag):
    if flag:
        return jnp.sum(params), x
    return jnp.mean(params), x


by_name = grad(pair)  # expect: VX513
by_partial = value_and_grad(partial(pair, x=1.0))  # expect: VX513
by_jit = jax.grad(jax.jit(pair), argnums=0)  # expect: VX513
by_lambda = jax.grad(lambda p: (jnp.sum(p), p))  # expect: VX513
by_branch = jax.value_and_grad(all_branches)  # expect: VX513
by_false = jax.grad(pair, has_aux=False)  # expect: VX513
by_place = jax.grad(one, 0, True)  # expect: VX513
by_three = jax.grad(three, has_aux=True)  # expect: VX513
by_other = eqx.filter_value_and_grad(one, has_aux=True)  # expect: VX513
by_nnx = nnx.value_and_grad(pair)  # expect: VX513
by_factory = partial(jax.grad, has_aux=True)(one)  # expect: VX513


@jax.value_and_grad
def decorated(params, x):  # expect: VX513
    return jnp.sum(params), x


@partial(jax.value_and_grad, has_aux=True)
def decorated_without(params, x):  # expect: VX513
    return jnp.sum(params * x)


class Trainer:
    def loss(self, params, x):
        return jnp.sum(params * x), x

    def step(self, params, x):
        return jax.grad(self.loss)(params, x)  # expect: VX513

    def right(self, params, x):
        return jax.grad(self.loss, has_aux=True)(params, x)


def forward(params, x):
    return pair(params, x)


by_call = jax.grad(forward)  # expect: VX513

right_partial = partial(jax.value_and_grad, has_aux=True)(pair)
right_first = jax.grad(lambda p, x: pair(p, x)[0])
right_three = jax.grad(lambda *args: three(*args)[0])


def first_of(params, x):
    loss, _ = pair(params, x)
    return loss


right_first_of = jax.grad(first_of)


def unknown(params, x, head):
    return head(params, x)


either_way = jax.grad(unknown), jax.grad(unknown, has_aux=True)


def starred(params, *rest):
    return (*rest, params)


star_grad = jax.grad(starred)


def wrap(function):
    return lambda *args: function(*args)[0]


@wrap
def wrapped(params, x):
    return jnp.sum(params), x


wrapped_grad = jax.grad(wrapped)
options = {"has_aux": True}
given_options = jax.grad(pair, **options)
second_order = jax.grad(jax.grad(one))
jacobian = jax.jacrev(pair)


def generator(params):
    yield jnp.sum(params), params


def chosen(params, flag):
    loss = pair if flag else one
    return jax.grad(loss)(params)


def defined_twice(params, x, flag):
    if flag:

        def loss(p):
            return jnp.sum(p), p

    else:

        def loss(p):
            return jnp.sum(p)

    return jax.grad(loss)(params)


@jax.jit
@jax.value_and_grad
def two_decorators(params, x):  # expect: VX513
    return jnp.mean(params * x), x


@jax.jit
@partial(jax.value_and_grad, has_aux=True)
def two_decorators_right(params, x):
    return jnp.mean(params * x), x
