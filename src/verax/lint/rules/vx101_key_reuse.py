"""VX101: one key for two draws."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._key_fixes import split_first
from verax.lint._keys import is_call_of, key_mistakes, line_of
from verax.lint._module import Module
from verax.lint._rule import Found, rule


@rule("VX101", "key-reuse", "error")
def key_reuse(module: Module) -> Iterator[Found]:
    """One random key that two calls draw from on the way to a place.

    A key is a value, not a generator: JAX computes the same bits from it each time. Two draws from one key are copies
    of each other, or related in ways that no statistics expects, and nothing raises.

    Bad:

        weights = random.normal(key, (4, 4))
        noise = random.uniform(key, (4,))

    Good:

        weight_key, noise_key = random.split(key)
        weights = random.normal(weight_key, (4, 4))
        noise = random.uniform(noise_key, (4,))

    Calls that draw are the samplers of `jax.random`, `split`, initializers, layers of Equinox, functions of the same
    file that do so with what they are given, and, after or before one of these, any other call that a key is given to.
    `fold_in`, `clone` and calls that only look at a key do not count, nor do ways of which only one is taken, nor two
    calls of `permutation` or `choice`, which keep the rows of two arrays together.

    A function without parameters that gives only what it draws from a key around it (`def noise(): return
    random.normal(key, shape)`) draws at each call whose result is used: a warning, as that may be meant. Other
    functions that are called twice are left alone, as they often hold their noise fixed.

    The fix is unsafe: it splits the key before the first draw, which changes the numbers. What is not seen: keys in
    containers with computed places, and two calls of which neither is known to draw.
    """
    for each in key_mistakes(module, "VX101"):
        assert each.first is not None
        assert each.use is not None
        message = (
            f"`{each.name}` was already used by {each.first.what} in line {line_of(each.first.node)}; "
            "split it first, each draw needs a key of its own."
        )
        if is_call_of(module, each.first, each.use):
            message = (
                f"each call of `{each.use.what}` draws from the same `{each.name}` in line "
                f"{line_of(each.first.node)}, so gives the same numbers; give it a key of its own."
            )
        yield Found(each.node, message, split_first(module, each), each.level)
