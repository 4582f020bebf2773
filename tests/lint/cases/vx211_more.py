"""VX211 control-flow-callback-arity: methods, partial, returns; and what only looks wrong."""
import functools

import jax
import jax.numpy as jnp
from jax import lax


class Model:
    def body(self, carry, x):
        return carry + x, None

    def wrong(self, carry):
        return carry, None

    def run(self, xs):
        lax.scan(self.wrong, 0.0, xs)  # expect: VX211
        return lax.scan(self.body, 0.0, xs)


def three(carry, x, scale):
    return carry + x * scale, None


def with_three(xs):
    return lax.scan(three, 0.0, xs)  # expect: VX211


def bound_three(xs):
    first = functools.partial(three, scale=2.0)
    return lax.scan(first, 0.0, xs), lax.scan(functools.partial(three, scale=1.0), 0.0, xs)


def too_many(xs):
    return lax.scan(lambda c, x: (c, x, x), 0.0, xs)  # expect: VX211


def nothing(xs):
    def body(carry, x):
        carry = carry + x

    return lax.scan(body, 0.0, xs)  # expect: VX211


def keyword_form(xs):
    return lax.scan(f=lambda c, x: c * x, init=1.0, xs=xs)  # expect: VX211


def unpacked(n, x):
    return lax.while_loop(lambda i, v: i < n, lambda i, v: (i + 1, v), (0, x))  # expect: VX211


def index_only(n, x):
    return lax.fori_loop(0, n, body_fun=lambda i: i, init_val=x)  # expect: VX211


def branches(flag, x, y):
    lax.cond(flag, lambda x: x, lambda x, y: y, x)  # expect: VX211
    return lax.cond(flag, lambda a, b: a, lambda a, b: b, x, y)


def no_operands(flag, x):
    return lax.cond(flag, lambda: x, lambda: -x)


def early_return(xs):
    def body(carry, x):
        if x.ndim == 0:
            return carry, x
        return step(carry, x)

    return lax.scan(body, 0.0, xs)


def step(carry, x):
    return carry, x


def star(xs):
    return lax.scan(lambda *args: (args[0] + args[1], None), 0.0, xs)


def sum_of_tuples(xs):
    return lax.scan(lambda c, x: (c,) + (x,), 0.0, xs)


def returns_call(xs):
    return lax.scan(lambda c, x: step(c, x), 0.0, xs)


def conditional(xs, flag):
    body = (lambda c, x: (c + x, None)) if flag else (lambda c, x: (c, x))
    return lax.scan(body, 0.0, xs)


def old_form(flag, x):
    return lax.cond(flag, x, lambda v: v, x, lambda v: -v)


def pair(xs):
    out = jnp.zeros(2)
    return lax.scan(lambda c, x: list((c, x)), 0.0, xs), out


def mapped(xs):
    return lax.map(lambda x: x * 2, xs), jax.vmap(lambda x, y: x + y)(xs, xs)
