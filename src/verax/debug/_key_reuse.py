"""Random keys that are used twice, and keys that never change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from verax.findings import Finding, Span
from verax.jaxpr import Equation, KeyReuse, key_reuses

VERBS = {"draw": "drawn from", "split": "split", "fold": "folded into"}
SPLIT = (
    "Split once, key, use_key = jax.random.split(key), and use each key once; jax.random.clone(key) says that the same "
    "numbers are wanted."
)
ADVICE = {
    "twice": SPLIT,
    "loop": "Derive a key in the loop: jax.random.fold_in(key, i), or scan over jax.random.split(key, steps).",
    "rows": "Give each row its own: vmap over jax.random.split(key, rows).",
    "fixed": "Pass the key in as an argument, and a new one at each step: jax.random.fold_in(key, step).",
}


def key_reuse(fn: Callable[..., Any], *args: Any) -> tuple[Finding, ...]:
    """Returns what is wrong with the random keys of `fn(*args)`: used twice, or the same at every call.

    The function is traced and its program read; nothing is run. Keys of both styles (`jax.random.key` and `PRNGKey`)
    are followed through jit, scan, while, cond, vmap, remat and custom derivatives, in every library.

    `key-reuse`: a key is drawn from or split twice, or at every iteration of a loop, or once for all rows of a vmap;
    or it is split here and folded into there, since `fold_in(key, i)` may be `split(key)[i]`. The same data folded in
    twice gives the same key. Branches of a cond are alternatives, and a loop counter folded in gives new keys.

    `fixed-dropout-key`: random numbers come from a key that is made of constants inside of the function, or closed
    over, so that every call draws the same.

    Not seen: reuse between two calls of `fn`; a draw at a later iteration than the second from a key that is used
    outside of its loop too; keys that are equal by value but computed in another way; a key closed over in a scan that
    is differentiated, whose draw JAX moves out of the loop: give the loss rather than its gradient. The branches of a
    cond under vmap both run, so a key that both use is reported.

    Args:
      fn: any function that JAX can trace.
      args: its arguments: arrays, trees, or `jax.ShapeDtypeStruct`.

    Example:
      >>> def noisy(key, x):
      ...     return x + jax.random.normal(key, x.shape) * jax.random.uniform(key, x.shape)
      >>> [finding.id for finding in key_reuse(noisy, jax.random.key(0), jnp.ones(3))]
      ['key-reuse']
    """
    return tuple(dict.fromkeys(_finding(reuse) for reuse in key_reuses(jax.make_jaxpr(fn)(*args))))


def assert_no_key_reuse(fn: Callable[..., Any], *args: Any) -> None:
    """Raises if `fn(*args)` uses a random key twice, or one that never changes; see `key_reuse`.

    Args:
      fn: any function that JAX can trace.
      args: its arguments.

    Raises:
      AssertionError: with all findings.

    Example:
      >>> key = jax.random.key(0)
      >>> assert_no_key_reuse(lambda key: [jax.random.normal(each) for each in jax.random.split(key)], key)
    """
    findings = key_reuse(fn, *args)
    if findings:
        raise AssertionError("\n".join(["random keys must be used once.", *map(str, findings)]))


def _finding(reuse: KeyReuse) -> Finding:
    (use, first), (again, second) = reuse.first, reuse.second
    place, where = str(second.place), second.place.span
    if reuse.kind == "fixed":
        message = f"the key that is drawn from in {place} is a constant, so every call draws the same numbers."
        return Finding("fixed-dropout-key", "warning", message, ADVICE["fixed"], where)
    if reuse.kind == "rows":
        message = f"numbers are drawn once in {place} and shared by all that the vmap around it runs over."
    elif reuse.kind == "loop":
        message = f"the same key is {VERBS[use]} at every iteration of a loop, in {place}."
    else:
        here, there = _told_apart(first, second)
        message = (
            f"one key is {VERBS[use]} more than once in {here}."
            if (use, here) == (again, there)
            else f"one key is {VERBS[use]} in {here} and {VERBS[again]} in {there}."
        )
    return Finding("key-reuse", "warning", message, ADVICE[reuse.kind], where)


def _told_apart(first: Equation, second: Equation) -> tuple[str, str]:
    """Returns two places as text; where they are one line of a function that is called twice, with the calls."""
    texts = str(first.place), str(second.place)
    if texts[0] == texts[1]:
        for one, other in zip(_chain(first), _chain(second), strict=False):
            for here, there in zip(one.lines, other.lines, strict=False):
                if here != there:
                    return f"{texts[0]} called in {_line(here)}", f"{texts[1]} called in {_line(there)}"
    return texts


def _chain(equation: Equation) -> list[Equation]:
    """Returns an equation after those that it is nested in, the outermost first."""
    return [*([] if equation.outer is None else _chain(equation.outer)), equation]


def _line(span: Span) -> str:
    return f"{span.file}:{span.line}"
