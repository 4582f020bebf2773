"""VX410: keywords that functions take no more."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._guards import is_guarded
from verax.lint._module import Module
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule
from verax.lint._tables import ROOTS, table
from verax.lint._transforms import PARTIAL
from verax.lint._uses import owner, real_name
from verax.lint._versions import target

# The keyword that took the place of another, with the same meaning.
RENAMED: dict[str, dict[str, str]] = {
    "jax.numpy.clip": {"a_min": "min", "a_max": "max"},  # 0.4.27
    "jax.jit": {"in_axis_resources": "in_shardings", "out_axis_resources": "out_shardings"},  # of pjit, 0.4.6
    "jax.experimental.pjit.pjit": {"in_axis_resources": "in_shardings", "out_axis_resources": "out_shardings"},
    "jax.shard_map": {"check_rep": "check_vma"},  # 0.6.0
    "jax.lax.with_sharding_constraint": {"axis_resources": "shardings"},  # 0.4.6
    "jax.numpy.quantile": {"interpolation": "method"},  # 0.4.0
    "jax.numpy.nanquantile": {"interpolation": "method"},
    "jax.numpy.percentile": {"interpolation": "method"},
    "jax.numpy.nanpercentile": {"interpolation": "method"},
    "jax.make_mesh": {"axis_shapes": "axis_sizes"},
    "jax.nn.softmax": {},
    "optax.projections.projection_box": {"pytree": "tree"},  # 0.2.4
    "optax.projections.projection_hypercube": {"pytree": "tree"},
    "optax.projections.projection_non_negative": {"pytree": "tree"},
    "optax.projections.projection_simplex": {"pytree": "tree"},
}
# Keywords of what came before, which the function itself never took: when it took that one's place.
BEFORE: dict[str, dict[str, str]] = {
    "jax.jit": {"in_axis_resources": "0.4.14", "out_axis_resources": "0.4.14"},
    "jax.shard_map": {"check_rep": "0.6.0", "auto": "0.6.0"},
}
ADVICE = {
    ("jax.shard_map", "auto"): "Name the axes that are manual with axis_names.",
    ("jax.scipy.linalg.solve", "sym_pos"): 'Use assume_a="pos".',
    ("jax.numpy.clip", "a"): "Give the array by its place.",
    ("jax.checkpoint", "concrete"): "Use static_argnums.",
    ("jax.remat", "concrete"): "Use static_argnums.",
}


@rule("VX410", "renamed-keyword", "error")
def renamed_keyword(module: Module) -> Iterator[Found]:
    """A keyword that a function of JAX or its libraries takes no more, or says it will not for long.

    The call is a `TypeError`. What the functions of each release take is read from the releases.

    Bad:

        jnp.clip(x, a_min=0.0, a_max=1.0)

    Good:

        jnp.clip(x, min=0.0, max=1.0)

    The fix is safe where the keyword was renamed. Arguments given by `functools.partial` are seen, those in `**kwargs`
    are not. NumPy's `np.clip` has its old keywords still, as has `jax.experimental.shard_map`.
    """
    own = owner(module)
    for call in module.nodes(ast.Call):
        if not call.keywords:
            continue
        name = real_name(module, call.func)
        if name is None and call.args and module.dotted(call.func) in PARTIAL:
            name = real_name(module, call.args[0])
        package = name.partition(".")[0] if name else ""
        if name is None or package not in ROOTS or package == own:
            continue
        found = _stale_keywords(module, package, name)
        wrong = [each for each in call.keywords if each.arg in found]
        if wrong and not is_guarded(module, call):
            yield from (_found(module, call, name, each, *found[each.arg or ""]) for each in wrong)


def _stale_keywords(module: Module, package: str, name: str) -> dict[str, tuple[str | None, str | None]]:
    """Returns the keywords that a function takes no more, or not for long, in the newest release that is allowed."""
    limits = target(module, package)
    found = {one: (None, release) for one, release in BEFORE.get(name, {}).items()}
    found |= table(package).keywords(name)
    return {
        each: (deprecated, removed if limits.has(removed) else None)
        for each, (deprecated, removed) in found.items()
        if limits.has(removed) or limits.has(deprecated)
    }


def _found(
    module: Module, call: ast.Call, name: str, keyword: ast.keyword, deprecated: str | None, removed: str | None
) -> Found:
    old = keyword.arg or ""
    new = RENAMED.get(name, {}).get(old)
    package = name.partition(".")[0]
    never = old in BEFORE.get(name, {})
    if never:
        message = f"{name} takes no {old}"
    elif removed:
        message = f"{name} takes no {old} since {package} {removed}"
    else:
        message = f"the argument {old} of {name} is deprecated since {package} {deprecated}"
    advice = f"Use {new}." if new else ADVICE.get((name, old), "")
    fix = None
    if new is not None and all(each.arg != new for each in call.keywords):
        start = module.span(keyword)[0]
        fix = Fix(f"Rename to {new}", (Edit(start, start + len(old), new),), safe=True)
    text = f"{message}. {advice}" if advice else f"{message}."
    is_sure = never or target(module, package).surely_has(removed)
    return Found(keyword, text, fix, None if is_sure else "warning")
