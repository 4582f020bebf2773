"""The fixes of the rules about purity, tracing and compilation: what they write, and that it computes the same."""

import ast
from textwrap import dedent

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.lint._check import check
from verax.lint._rule import rule_of

IMPORTS = "import functools\nimport jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom jax import lax\n"


def fixed(code, text, *, unsafe=False):
    """Returns a text after the fixes of a rule, each applied where it overlaps no other."""
    checked = check(text, [rule_of(code)])
    assert not checked.broken
    edits = []
    for report in checked.reports:
        if report.fix is not None and (report.fix.safe or unsafe):
            new = [each for each in report.fix.edits if each not in edits]
            if all(one.end <= other.start or other.end <= one.start for one in new for other in edits):
                edits += new
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    ast.parse(text)
    return text


def check_fix(code, before, after, *, unsafe=False, imports=IMPORTS):
    before, after = imports + dedent(before), imports + dedent(after)
    assert fixed(code, before, unsafe=unsafe) == after
    assert fixed(code, after, unsafe=unsafe) == after
    return before, after


def run(text, call):
    names = {}
    exec(compile(text, "<fixed>", "exec"), names)
    return eval(call, names)


FIXES = [
    pytest.param(
        "VX201",
        """
        @jax.jit
        def f(x):
            print("x is", x)  # shows it
            print(f"{x} of {x + 1}", x, sep=", ")
            return x
        """,
        """
        @jax.jit
        def f(x):
            jax.debug.print("x is {}", x)  # shows it
            jax.debug.print("{} of {}, {}", x, x + 1, x)
            return x
        """,
        id="print",
    ),
    pytest.param(
        "VX205",
        """
        def f(n):
            x = jnp.zeros((n, n))
            x[0, 1:] = 1.0  # first row
            x[1] += 2 * n
            x[2] -= n - 1
            x[:, 0] *= 3
            x[2, 2] = 1 if n else 2
            return x
        """,
        """
        def f(n):
            x = jnp.zeros((n, n))
            x = x.at[0, 1:].set(1.0)  # first row
            x = x.at[1].add(2 * n)
            x = x.at[2].add(-(n - 1))
            x = x.at[:, 0].multiply(3)
            x = x.at[2, 2].set(1 if n else 2)
            return x
        """,
        id="item",
    ),
    pytest.param(
        "VX207",
        """
        @jax.jit
        def f(x):
            return float(jnp.mean(x))

        @jax.jit
        def g(x):
            y = x.sum()
            return y.item()  # a number
        """,
        """
        @jax.jit
        def f(x):
            return jnp.mean(x)

        @jax.jit
        def g(x):
            y = x.sum()
            return y  # a number
        """,
        id="number",
    ),
    pytest.param(
        "VX208",
        """
        @jax.jit
        def f(x):
            return np.linalg.norm(np.tanh(x), axis=0) + np.sqrt(x.shape[0])
        """,
        """
        @jax.jit
        def f(x):
            return np.linalg.norm(jnp.tanh(x), axis=0) + np.sqrt(x.shape[0])
        """,
        id="numpy",
    ),
    pytest.param(
        "VX209",
        """
        def f(x):
            x.at[0].set(1.0)
            return x
        """,
        """
        def f(x):
            x = x.at[0].set(1.0)
            return x
        """,
        id="discarded",
    ),
    pytest.param(
        "VX301",
        """
        def f(params, batches):
            for batch in batches:
                # one step
                step = jax.jit(lambda p, b: p - b)  # compiled
                params = step(params, batch)
            return params
        """,
        """
        def f(params, batches):
            step = jax.jit(lambda p, b: p - b)  # compiled
            for batch in batches:
                # one step
                params = step(params, batch)
            return params
        """,
        id="loop",
    ),
    pytest.param(
        "VX303",
        """
        @jax.jit
        def f(x, train=False, mode: str = "a"):
            if train:
                return x * 2
            return x if mode == "a" else -x
        """,
        """
        @functools.partial(jax.jit, static_argnames=("train", "mode"))
        def f(x, train=False, mode: str = "a"):
            if train:
                return x * 2
            return x if mode == "a" else -x
        """,
        id="flag",
    ),
    pytest.param(
        "VX303",
        """
        @functools.partial(jax.jit, donate_argnums=0)
        def f(x, train=False):
            return x * 2 if train else x
        """,
        """
        @functools.partial(jax.jit, donate_argnums=0, static_argnames=("train",))
        def f(x, train=False):
            return x * 2 if train else x
        """,
        id="flag-with-options",
    ),
    pytest.param(
        "VX304",
        """
        @functools.partial(jax.jit, static_argnums=1)
        def f(x, shape):
            return x.reshape(shape)

        def g(x):
            return f(x, [2, 3]), f(x, [6]), f(x, shape=[3, 2])
        """,
        """
        @functools.partial(jax.jit, static_argnums=1)
        def f(x, shape):
            return x.reshape(shape)

        def g(x):
            return f(x, (2, 3)), f(x, (6,)), f(x, shape=(3, 2))
        """,
        id="list",
    ),
]


@pytest.mark.parametrize(("code", "before", "after"), FIXES)
def test_a_safe_fix_writes_this_and_then_nothing_more(code, before, after):
    if code == "VX208":
        after = after.replace("np.linalg.norm(jnp", "jnp.linalg.norm(jnp")  # the outer call gets what NumPy would make
        first = fixed(code, IMPORTS + dedent(before))
        assert fixed(code, first) == IMPORTS + dedent(after)
        return
    check_fix(code, before, after)


@pytest.mark.parametrize(
    "line", ['print(f"{x:.3f}", x)', 'print("shape", x.shape)', 'print(x, end="")', 'print("{}", x)']
)
def test_a_print_that_the_device_has_no_match_for_is_left(line):
    text = f"{IMPORTS}@jax.jit\ndef f(x):\n    {line}\n    return x\n"
    assert fixed("VX201", text, unsafe=True) == text


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (
            "VX302",
            """
            @functools.partial(jax.jit, static_argnames=["trainng", 'n'])
            def f(x, n, training): return x
            """,
            """
            @functools.partial(jax.jit, static_argnames=["training", 'n'])
            def f(x, n, training): return x
            """,
        ),
        (
            "VX303",
            """
            def f(x, train: bool): return x if train else -x
            g = jax.jit(f)
            h = functools.partial(jax.jit, static_argnames=("n",))(lambda x, n, kind: x if kind == "a" else n)
            """,
            """
            def f(x, train: bool): return x if train else -x
            g = jax.jit(f, static_argnames=("train",))
            h = functools.partial(jax.jit, static_argnames=("n", "kind",))(lambda x, n, kind: x if kind == "a" else n)
            """,
        ),
        (
            "VX307",
            """
            class Model:
                @jax.jit
                def f(self, x): return x
                @functools.partial(jax.jit, static_argnames=("n",))
                def g(self, x, n): return x
            """,
            """
            class Model:
                @functools.partial(jax.jit, static_argnums=0)
                def f(self, x): return x
                @functools.partial(jax.jit, static_argnames=("self", "n",))
                def g(self, x, n): return x
            """,
        ),
        (
            "VX211",
            """
            def total(xs):
                return lax.scan(lambda c, x: c + x, 0.0, xs)
            """,
            """
            def total(xs):
                return lax.scan(lambda c, x: (c + x, None), 0.0, xs)
            """,
        ),
    ],
    ids=["name", "flag", "method", "scan"],
)
def test_an_unsafe_fix_writes_this_when_asked_and_else_nothing(code, before, after):
    check_fix(code, before, after, unsafe=True)
    assert fixed(code, IMPORTS + dedent(before)) == IMPORTS + dedent(before)


def test_a_missing_import_is_added():
    before = '"""Doc."""\nfrom jax import jit\n\n\n@jit\ndef f(x, train=False):\n    return x if train else -x\n'
    after = fixed("VX303", before)
    assert after == (
        '"""Doc."""\nimport functools\nfrom jax import jit\n\n\n'
        '@functools.partial(jit, static_argnames=("train",))\ndef f(x, train=False):\n    return x if train else -x\n'
    )
    assert run(after, "f(2.0, train=True)") == 2.0


def test_what_was_jitted_in_a_loop_computes_the_same():
    code, before, after = next(each.values for each in FIXES if each.id == "loop")
    texts = check_fix(code, before, after)
    values = [run(each, "f(jnp.ones(3), [jnp.ones(3), jnp.arange(3.0)])") for each in texts]
    np.testing.assert_array_equal(*values)


def test_printing_from_the_device_shows_the_values(capsys):
    code, before, after = next(each.values for each in FIXES if each.id == "print")
    _, after = check_fix(code, before, after)
    assert run(after, "f(3)") == 3
    jax.effects_barrier()
    assert capsys.readouterr().out == "x is 3\n3 of 4, 3\n"


@pytest.mark.parametrize(
    ("id", "call", "expected"),
    [
        ("item", "f(3)", [[0, 1, 1], [18, 6, 6], [-6, -2, 1]]),
        ("number", "f(jnp.arange(3.0))", 1.0),
        ("discarded", "f(jnp.zeros(2))", [1, 0]),
        ("flag", "f(jnp.ones(2), train=True)", [2, 2]),
        ("flag-with-options", "f(jnp.ones(2), True)", [2, 2]),
        ("list", "g(jnp.arange(6))[2]", [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_a_program_that_raised_computes_what_was_meant(id, call, expected):
    code, before, after = next(each.values for each in FIXES if each.id == id)
    before, after = check_fix(code, before, after)
    if id != "discarded":
        with pytest.raises((TypeError, ValueError, jax.errors.TracerBoolConversionError)):
            run(before, call)
    np.testing.assert_array_equal(run(after, call), jnp.asarray(expected))
