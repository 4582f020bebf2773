"""VX107: the body of a loop of JAX draws from a key from outside."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._key_fixes import folded_with_index
from verax.lint._keys import key_mistakes
from verax.lint._module import Module
from verax.lint._rule import Found, rule


@rule("VX107", "key-closed-over-by-loop-body", "error")
def key_closed_over_by_loop_body(module: Module) -> Iterator[Found]:
    """The body of `scan`, `fori_loop`, `while_loop` or `lax.map` draws from a key that is the same in every pass.

    The body is traced once, with the key as a constant: each iteration computes the same numbers.

    Bad:

        lax.scan(lambda x, _: (x + random.normal(key), x), 0.0, None, length=9)

    Good:

        lax.scan(lambda x, key: (x + random.normal(key), x), 0.0, random.split(key, 9))

    A function for `jax.tree.map` that draws noise in the shape of its leaf from a key from outside is a warning: leaves
    of the same shape get the same noise. A mask or a choice may be meant to be one for all leaves, and is left alone.

    From outside are also keys that `partial` binds. Silent: the branches of `cond`, which run once, keys into which the
    index is folded (`fold_in(key, i)`), and calls of functions that are in no file of the project.

    In `fori_loop` there is an unsafe fix, which folds the index into the key.
    """
    for each in key_mistakes(module, "VX107"):
        assert each.use is not None
        if each.first is None:
            message = (
                f"`{each.name}` is the same for all leaves, so {each.use.what} draws the same numbers for those of one "
                "shape; split it into a key for each leaf."
            )
        else:
            message = (
                f"`{each.name}` comes from outside this loop body, so {each.use.what} draws the same numbers in every "
                "iteration; carry the key, scan over split keys, or fold in the index."
            )
        yield Found(each.node, message, folded_with_index(module, each), each.level)
