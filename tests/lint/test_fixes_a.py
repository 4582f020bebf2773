"""Fixes of the rules on random keys: what they make of a program, and that they end."""

import ast
from textwrap import dedent

import jax
import pytest

from verax.lint._check import check
from verax.lint._rule import all_rules

KEYS = [each for code, each in all_rules().items() if code.startswith("VX1")]


def fixed_once(text):
    """Applies the first fix of a source."""
    for report in check(text, KEYS).reports:
        if report.fix is not None:
            for edit in sorted(report.fix.edits, reverse=True):
                text = text[: edit.start] + edit.text + text[edit.end :]
            return text
    return text


def fixed(text):
    """Applies fixes until there is none left."""
    for _ in range(20):
        new = fixed_once(text)
        ast.parse(new)
        if new == text:
            return text
        text = new
    raise AssertionError("the fixes do not end")


CASES = {
    "a key for each draw": (
        """
        from jax import random

        def draws(key, shape):
            # the first
            a = random.normal(key, shape)  # kept
            b = random.uniform(key, shape)
            return a, b
        """,
        """
        from jax import random

        def draws(key, shape):
            # the first
            key, subkey = random.split(key)
            a = random.normal(subkey, shape)  # kept
            b = random.uniform(key, shape)
            return a, b
        """,
    ),
    "three draws": (
        """
        import jax.random as jr

        def draws(key):
            a = jr.normal(key)
            b = jr.normal(key)
            c = jr.normal(key)
            return a, b, c
        """,
        """
        import jax.random as jr

        def draws(key):
            key, subkey = jr.split(key)
            a = jr.normal(subkey)
            key, subkey_2 = jr.split(key)
            b = jr.normal(subkey_2)
            c = jr.normal(key)
            return a, b, c
        """,
    ),
    "a loop": (
        """
        import jax

        def loop(key, batches):
            for batch in batches:
                yield batch + jax.random.normal(key, batch.shape)
        """,
        """
        import jax

        def loop(key, batches):
            for batch in batches:
                key, subkey = jax.random.split(key)
                yield batch + jax.random.normal(subkey, batch.shape)
        """,
    ),
    "the new key that was meant": (
        """
        from jax.random import normal, split

        def pair(key):
            one, two = split(key)
            return normal(key), normal(two)
        """,
        """
        from jax.random import normal, split

        def pair(key):
            one, two = split(key)
            return normal(one), normal(two)
        """,
    ),
    "a carry": (
        """
        from jax import random

        def body(carry, _):
            x, key = carry
            x = x + random.normal(key)
            return (x, key), x
        """,
        """
        from jax import random

        def body(carry, _):
            x, key = carry
            key, subkey = random.split(key)
            x = x + random.normal(subkey)
            return (x, key), x
        """,
    ),
    "the index of a loop of JAX": (
        """
        from jax import lax, random

        def walk(key, n, x):
            return lax.fori_loop(0, n, lambda i, v: v + random.normal(key, v.shape), x)
        """,
        """
        from jax import lax, random

        def walk(key, n, x):
            return lax.fori_loop(0, n, lambda i, v: v + random.normal(random.fold_in(key, i), v.shape), x)
        """,
    ),
    "the number of keys": (
        """
        from jax import random

        def three(key):
            a, b, c = random.split(key)
            d, e, f = random.split(
                key=a,
            )
            return b, c, d, e, f
        """,
        """
        from jax import random

        def three(key):
            a, b, c = random.split(key, 3)
            d, e, f = random.split(
                key=a, num=3,
            )
            return b, c, d, e, f
        """,
    ),
    "a key for each stream": (
        """
        import jax

        def init(model, key, x):
            return model.init({"params": key, "dropout": key}, x)
        """,
        """
        import jax

        def init(model, key, x):
            return model.init({"params": key, "dropout": jax.random.fold_in(key, 1)}, x)
        """,
    ),
}
UNTOUCHED = {
    "an alias, which splitting would not reach": """
        from jax import random

        def two(key):
            other = key
            return random.normal(key), random.uniform(other)
        """,
    "a key from outside, which a split would make local": """
        from jax import random

        def outer(key):
            def inner(x):
                return x + random.normal(key) + random.uniform(key)
            return inner
        """,
    "a statement that shares its line": """
        from jax import random

        def two(key):
            a = 1; b = random.normal(key)
            return a, b, random.uniform(key)
        """,
    "no way to write split": """
        from jax.random import normal, uniform

        def two(key):
            a = normal(key)
            return a, uniform(key)
        """,
    "a comprehension": """
        from jax import random

        def all_of(key, shapes):
            return [random.normal(key, shape) for shape in shapes]
        """,
}


@pytest.mark.parametrize("name", CASES)
def test_a_fix_gives_each_draw_its_key(name):
    before, after = (dedent(each) for each in CASES[name])
    assert fixed(before) == after
    assert not check(after, KEYS).reports


@pytest.mark.parametrize("name", UNTOUCHED)
def test_a_report_without_a_sure_edit_has_no_fix(name):
    text = dedent(UNTOUCHED[name])
    assert check(text, KEYS).reports
    assert fixed(text) == text


def test_only_the_number_of_keys_is_safe():
    safe = {
        report.code
        for before, _ in CASES.values()
        for report in check(dedent(before), KEYS).reports
        if report.fix is not None and report.fix.safe
    }
    assert safe == {"VX109"}


@pytest.mark.parametrize("name", ["a key for each draw", "a carry", "the new key that was meant"])
def test_the_fixed_program_runs_and_passes_the_key_checker_of_jax(name):
    calls = {
        "a key for each draw": ("draws", ((3,),)),
        "a carry": ("body", None),
        "the new key that was meant": ("pair", ()),
    }
    function, arguments = calls[name]
    before, after = (dedent(each) for each in CASES[name])

    def run(text):
        names = {}
        exec(compile(text, "<fixed>", "exec"), names)
        key = jax.random.key(0)
        with jax.debug_key_reuse(True):
            if arguments is None:
                (x, key), _ = jax.jit(names[function])((0.0, key), None)
                return (x, jax.random.normal(key))
            return jax.jit(names[function], static_argnums=1 if arguments else ())(key, *arguments)

    with pytest.raises(Exception, match=r"reuse|consumed"):
        run(before)
    assert all(one.dtype == jax.numpy.float32 for one in run(after))
