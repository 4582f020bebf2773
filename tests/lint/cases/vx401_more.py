"""VX401 more: aliases, nesting, guards and names that are other things."""
import contextlib
import functools

import jax
import jax as j
import jax.tree_util
from jax import numpy as jnp
from jax import tree_flatten as flatten, tree_unflatten as unflatten  # expect: VX401
from jax import (
    jit,
    tree_leaves,  # expect: VX401
    vmap,
)

map_tree = jax.tree_map  # expect: VX401
double_all = functools.partial(j.tree_map, lambda x: 2 * x)  # expect: VX401


class Model:
    combine = staticmethod(jax.tree_multimap)  # expect: VX401

    def norms(self, params):
        return [jnp.linalg.norm(each) for each in j.tree_leaves(params)]  # expect: VX401

    def tree_map(self, function, tree):
        return function(tree)

    async def later(self, params):
        if (leaves := jax.tree_leaves(params)):  # expect: VX401
            return leaves
        return self.tree_map(len, params)


def nested(tree):
    def inner(x):
        match x:
            case {"params": params}:
                return jax.tree_map(jnp.sum, params)  # expect: VX401
        return x

    return (lambda t: jax.tree_structure(t))(inner(tree))  # expect: VX401


def local_import(tree):
    import jax as local

    return local.tree_transpose(tree, tree, tree)  # expect: VX401


def every(tree):
    return jax.tree_all(tree)  # expect: VX401


def parameter_named_jax(jax, tree):
    return jax.tree_map(len, tree)


def shadowed(tree):
    jax = Model()
    return jax.tree_map(len, tree)


def current(tree):
    return jax.tree.map(jnp.sum, tree), jax.tree_util.tree_map(jnp.sum, tree), jax.tree_util.tree_leaves(tree)


def tried(tree):
    try:
        return jax.tree.map(len, tree)
    except AttributeError:
        return jax.tree_map(len, tree)


def returned_early(tree):
    if hasattr(jax, "tree"):
        return jax.tree.map(len, tree)
    return jax.tree_map(len, tree)


def by_version(tree):
    return jax.tree_map(len, tree) if jax.__version_info__ < (0, 4, 26) else jax.tree.map(len, tree)


JAX_HAS_TREE = hasattr(jax, "tree")


def by_flag(tree):
    if not JAX_HAS_TREE:
        return jax.tree_map(len, tree)
    return jax.tree.map(len, tree)


def by_and(tree):
    return hasattr(jax, "tree_map") and jax.tree_map(len, tree)


def by_attribute(tree):
    return getattr(jax, "tree_map", None)


def gone_is_fine(tree):
    with contextlib.suppress(AttributeError):
        return jax.tree_map(len, tree)


def word(text="jax.tree_map"):
    return text  # jax.tree_map is gone


def used(tree):
    return flatten(tree), unflatten, tree_leaves(tree), jit, vmap, map_tree, double_all


def asked_of_a_value(model, tree):
    if hasattr(model, "params"):
        return jax.tree_leaves(tree)  # expect: VX401
    return None


def trained(model, tree):
    try:
        for _ in range(3):
            model.step()
        model.save()
        model.log()
        return jax.tree_map(len, tree)  # expect: VX401
    except Exception:
        return None
