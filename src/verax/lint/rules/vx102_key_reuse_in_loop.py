"""VX102: one key for every pass of a loop."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._key_fixes import split_in_loop
from verax.lint._keys import key_mistakes
from verax.lint._module import Module
from verax.lint._rule import Found, rule


@rule("VX102", "key-reuse-in-loop", "error")
def key_reuse_in_loop(module: Module) -> Iterator[Found]:
    """A key from outside a loop that every pass draws from.

    A key is a value: each pass computes the same numbers from it, so every batch gets the same dropout mask or noise.

    Bad:

        for batch in batches:
            mask = random.bernoulli(key, 0.9, batch.shape)

    Good:

        for batch in batches:
            key, mask_key = random.split(key)
            mask = random.bernoulli(mask_key, 0.9, batch.shape)

    Comprehensions are loops too, and a function that gives noise from a key around it draws in each pass that calls
    it. A loop that always ends in its first pass is none. Keys that are folded with the pass (`fold_in(key, step)`),
    also within a function of the same file, are fresh.

    The fix splits the key in the loop; the numbers become others, so it is unsafe. A call that may draw, or may not, is
    not counted.
    """
    for each in key_mistakes(module, "VX102"):
        assert each.use is not None
        message = (
            f"every pass of the loop uses the same `{each.name}` in {each.use.what}, so draws the same numbers; "
            "split it in the loop, or fold in the number of the pass."
        )
        yield Found(each.node, message, split_in_loop(module, each), each.level)
