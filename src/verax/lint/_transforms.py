"""What traces functions, by name, and which expressions are it."""

from __future__ import annotations

import ast

from verax.lint._module import Module

STAGING = {
    "jax.jit", "jax.pmap", "jax.vmap", "jax.checkpoint", "jax.remat", "jax.ad_checkpoint.checkpoint", "jax.make_jaxpr",
    "jax.experimental.pjit.pjit", "jax.pjit", "jax.shard_map", "jax.experimental.shard_map.shard_map", "jax.eval_shape",
    "jax.xla_computation", "jax.experimental.maps.xmap", "jax.soft_pmap",
    "flax.nnx.jit", "flax.nnx.pmap", "flax.nnx.vmap", "flax.nnx.remat", "flax.nnx.cached_partial",
    "flax.linen.jit", "flax.linen.vmap", "flax.linen.remat", "flax.linen.checkpoint",
    "haiku.jit", "haiku.vmap", "haiku.remat",
    "equinox.filter_jit", "equinox.filter_pmap", "equinox.filter_vmap", "equinox.filter_checkpoint",
    "equinox.filter_make_jaxpr", "equinox.filter_eval_shape",
    "jax.experimental.pallas.pallas_call",
}  # fmt: skip
EAGER = {
    "jax.grad", "jax.value_and_grad", "jax.vjp", "jax.jvp", "jax.linearize",
    "jax.jacfwd", "jax.jacrev", "jax.jacobian", "jax.hessian",
    "flax.nnx.grad", "flax.nnx.value_and_grad", "haiku.grad", "haiku.value_and_grad",
    "equinox.filter_grad", "equinox.filter_value_and_grad", "equinox.filter_vjp", "equinox.filter_jvp",
}  # fmt: skip
# Of calls that trace functions given at some places: those places, and the keywords.
BODIES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "jax.lax.scan": ((0,), ("f",)),
    "jax.lax.map": ((0,), ("f",)),
    "jax.lax.fori_loop": ((2,), ("body_fun",)),
    "jax.lax.while_loop": ((0, 1), ("cond_fun", "body_fun")),
    "jax.lax.cond": ((1, 2), ("true_fun", "false_fun")),
    "jax.lax.switch": ((1,), ("branches",)),
    "jax.lax.associative_scan": ((0,), ("fn",)),
    "jax.lax.custom_root": ((0, 2, 3), ("f", "solve", "tangent_solve")),
    "jax.lax.platform_dependent": ((), ()),
    "flax.nnx.scan": ((0,), ("f",)),
    "flax.nnx.cond": ((1, 2), ("true_fun", "false_fun")),
    "flax.nnx.while_loop": ((0, 1), ("cond_fun", "body_fun")),
    "flax.nnx.fori_loop": ((2,), ("body_fun",)),
    "flax.linen.scan": ((0,), ("target",)),
    "haiku.scan": ((0,), ("f",)),
    "haiku.fori_loop": ((2,), ("body_fun",)),
    "haiku.while_loop": ((0, 1), ("cond_fun", "body_fun")),
    "haiku.cond": ((1, 2), ("true_fun", "false_fun")),
    "equinox.internal.while_loop": ((0, 1), ("cond_fun", "body_fun")),
}
LOOP_BODIES = {name for name in BODIES if name.rpartition(".")[2] in ("scan", "map", "fori_loop", "while_loop")}
HOST = {
    "jax.debug.callback", "jax.pure_callback", "jax.experimental.io_callback", "jax.experimental.host_callback.call",
    "jax.experimental.host_callback.id_tap", "jax.debug.print", "jax.experimental.pure_callback",
}  # fmt: skip
# Those that leave Python values that are no arrays as they are.
KEEPS_PYTHON = {name for name in STAGING | EAGER if name.startswith("equinox.")}
# Those under which nothing is computed: a function that is run elsewhere is only looked at.
ABSTRACT = {
    "jax.eval_shape", "jax.make_jaxpr", "jax.xla_computation", "equinox.filter_eval_shape", "equinox.filter_make_jaxpr",
}  # fmt: skip
JITS = {
    "jax.jit", "jax.pmap", "jax.pjit", "jax.experimental.pjit.pjit", "flax.nnx.jit", "flax.nnx.pmap", "flax.linen.jit",
    "haiku.jit",
}  # fmt: skip
PARTIAL = ("functools.partial", "jax.tree_util.Partial", "jax.partial")


def transform_of(module: Module, node: ast.AST) -> tuple[str, ast.Call | None] | None:
    """Returns the dotted name of a transform that an expression is, and the call that has its options.

    `jax.jit`, `jax.jit(static_argnums=0)` without a function and `partial(jax.jit, static_argnums=0)` are `jax.jit`,
    and so is a name that is bound to one of them.
    """
    name = module.dotted(node)
    if name is not None:
        return (name, None) if name in STAGING or name in EAGER else None
    if isinstance(node, ast.Name):
        node = module.value(node)
    if isinstance(node, ast.Call):
        called = module.dotted(node.func)
        if called in PARTIAL and node.args:
            inner = module.dotted(node.args[0])
            return (inner, node) if inner in STAGING or inner in EAGER else None
        if called in STAGING or called in EAGER:
            return (called, node) if not node.args and not _given(node) else None
    return None


def function_given(module: Module, call: ast.Call) -> ast.expr | None:
    """Returns the function that a call of a transform is given."""
    return _given(call) or (call.args[0] if call.args and not isinstance(call.args[0], ast.Starred) else None)


def _given(call: ast.Call) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg in ("fun", "f", "func", "target")), None)
