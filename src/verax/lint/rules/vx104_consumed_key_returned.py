"""VX104: a used key goes back as the next one."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._key_fixes import split_first
from verax.lint._keys import key_mistakes, line_of
from verax.lint._module import Module
from verax.lint._rule import Found, rule


@rule("VX104", "consumed-key-returned", "error")
def consumed_key_returned(module: Module) -> Iterator[Found]:
    """A key that a function was given, drew from, and gives back as the next key.

    Whoever takes the result for a fresh key draws the same numbers again: a `scan` whose carry holds it gets the same
    noise in every step.

    Bad:

        def body(carry, _):
            x, key = carry
            return (x + random.normal(key), key), x

    Good:

        def body(carry, _):
            x, key = carry
            key, step_key = random.split(key)
            return (x + random.normal(step_key), key), x

    The key may go back by itself, in a tuple, in a field of a new object, or in one of the old object's that `replace`
    keeps. The fix is unsafe: it splits the key before the draw, which changes the numbers. What is not seen: draws by
    calls of which nothing is known.
    """
    for each in key_mistakes(module, "VX104"):
        assert each.first is not None
        message = (
            f"`{each.name}` goes back to the caller after {each.first.what} used it in line "
            f"{line_of(each.first.node)}; split it first, and give back the key that was not used."
        )
        yield Found(each.node, message, split_first(module, each), each.level)
