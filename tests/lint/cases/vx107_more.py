"""VX107 key-closed-over-by-loop-body: further forms, and look-alikes."""
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.lax import fori_loop, scan, while_loop


def made_outside(n):
    key = jr.key(0)

    def body(i, x):
        return x + jr.normal(key, x.shape)  # expect: VX107

    return fori_loop(0, n, body, jnp.zeros(3))


def mapped(key, xs):
    return jax.lax.map(lambda x: x + jr.normal(key, x.shape), xs)  # expect: VX107


def split_in_body(key, xs):
    def body(carry, x):
        use, _ = jr.split(key)  # expect: VX107
        return carry + jr.normal(use) * x, None

    return scan(body, 0.0, xs)


def bound_by_partial(key, xs):
    def body(k, carry, x):
        return carry + jr.normal(k) * x, None  # expect: VX107

    return scan(partial(body, key), 0.0, xs)


def by_keyword(key, xs):
    def body(carry, x):
        return carry + jr.normal(key) * x, None  # expect: VX107

    return scan(f=body, init=0.0, xs=xs)


def nested(key, xs):
    def outer(carry, x):
        def inner(i, v):
            return v + jr.normal(key)  # expect: VX107

        return fori_loop(0, 3, inner, carry) + x, None

    return scan(outer, 0.0, xs)


class Walk:
    key: jax.Array

    def step(self, x, _):
        return x + jr.normal(self.key), x  # expect: VX107

    def run(self, n):
        return scan(self.step, 0.0, None, length=n)


def condition(key, x):
    return while_loop(lambda v: jr.uniform(key) > v, lambda v: v + 1.0, x)  # expect: VX107


def leaves(key, tree):
    return jax.tree.map(lambda leaf: leaf + jr.normal(key, leaf.shape), tree)  # expect: VX107


def leaves_by_name(tree):
    key = jr.key(0)

    def perturbed(path, leaf):
        return leaf + 0.1 * jr.truncated_normal(key, -2, 2, shape=jnp.shape(leaf))  # expect: VX107

    return jax.tree_util.tree_map_with_path(perturbed, tree)


def two_draws_for_leaves(key, tree):
    def changed(leaf):
        noise = jr.laplace(key, leaf.shape, leaf.dtype)  # expect: VX107
        return jnp.where(leaf > 0, leaf + noise, leaf)

    return jax.tree_util.tree_map(changed, tree)


# What must stay silent.


def key_for_each_leaf(key, tree, keys):
    shift = jax.tree.map(lambda leaf, k: leaf + jr.normal(k, leaf.shape), tree, keys)
    named = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + jr.normal(jr.fold_in(key, hash(path)), leaf.shape), tree
    )
    many = jax.tree.map(lambda leaf: leaf + jr.normal(next(keys), leaf.shape), tree)
    return shift, named, many


def one_choice_for_all_leaves(key, row_key, mask_key, shift_key, tree, other):
    rows = jax.tree.map(lambda leaf: jr.permutation(key, leaf), tree)
    taken = jax.tree.map(lambda leaf: leaf[jr.randint(row_key, (4,), 0, leaf.shape[0])], rows)
    mixed = jax.tree.map(lambda a, b: jnp.where(jr.bernoulli(mask_key, 0.5, a.shape), a, b), taken, other)
    return jax.tree.map(lambda leaf: leaf + jr.normal(shift_key), mixed)


def advanced(key, tree):
    def noisy(leaf):
        nonlocal key
        key, sub = jr.split(key)
        return leaf + jr.normal(sub, leaf.shape)

    return jax.tree.map(noisy, tree)


def test_leaves(key, tree):
    return jax.tree.map(lambda leaf: jr.normal(key, leaf.shape), tree)


def mapped_in_python(key, shapes):
    return list(map(lambda leaf: leaf.shape, shapes)), jax.tree.leaves(shapes), key


def carried(key, n):
    def body(i, carry):
        k, x = carry
        k, sub = jr.split(k)
        return k, x + jr.normal(sub)

    return fori_loop(0, n, body, (key, 0.0))


def folded_first(key, n):
    def body(i, x):
        k = jr.fold_in(key, i)
        a, b = jr.split(k)
        return x + jr.normal(a) + jr.normal(b)

    return fori_loop(0, n, body, 0.0)


def indexed(keys, n):
    return fori_loop(0, n, lambda i, x: x + jr.normal(keys[i]), 0.0)


def shadowed(key, keys):
    def body(x, key):
        return x + jr.normal(key), None

    return scan(body, jr.normal(key), keys)


def batched(key, xs):
    return jax.vmap(lambda x: x + jr.normal(key))(xs)


def switched(key, i, x):
    return jax.lax.switch(i, [lambda v: v + jr.normal(key), lambda v: v * jr.uniform(key)], x)
