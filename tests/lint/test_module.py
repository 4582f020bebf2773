"""Questions that rules ask of a module, answered for code that is easy to misread."""

import ast

import pytest

from verax.lint._module import Module


def named(text: str, name: str = "target") -> str | None:
    """Returns the dotted name of what the call of the last line calls, or of `target(...)`."""
    module = Module(text)
    calls = [each for each in module.nodes(ast.Call) if isinstance(each.func, ast.Name | ast.Attribute)]
    last = max(calls, key=lambda each: (each.lineno, each.col_offset))
    return module.dotted(last.func)


@pytest.mark.parametrize(
    ("text", "dotted"),
    [
        ("import jax\njax.random.normal(k)", "jax.random.normal"),
        ("import jax.numpy as jnp\njnp.sin(x)", "jax.numpy.sin"),
        ("import jax.numpy\njax.numpy.sin(x)", "jax.numpy.sin"),
        ("from jax import random as jr\njr.split(k)", "jax.random.split"),
        ("from jax.random import split\nsplit(k)", "jax.random.split"),
        ("import jax\ndraw = jax.random.normal\ndraw(k)", "jax.random.normal"),
        ("try:\n    import jax\nexcept ImportError:\n    jax = None\njax.jit(f)", None),
        ("import jax\ndef f(jax):\n    return jax.jit(g)", None),
        ("import jax\ndef f():\n    import numpy as jax\n    return jax.sin(g)", "numpy.sin"),
        ("import jax\nclass A:\n    jax = 1\n    def f(self):\n        return jax.jit(g)", "jax.jit"),
        ("from jax import random\nrandom = 3\nrandom.split(k)", None),
        ("def f(random):\n    from jax import random\n    random.split(k)", "jax.random.split"),
        ("print(1)", "builtins.print"),
        ("def print(x): ...\nprint(1)", None),
        ("import jax\ntools.jax.jit(f)", None),
        ("import jax\n[jax.jit(f) for jax in xs]", None),
        ("import jax\nx = [jax for jax in xs]\njax.jit(f)", "jax.jit"),
        ("from optax.losses import softmax_cross_entropy as sce\nsce(x)", "optax.softmax_cross_entropy"),
        ("import jax\nif (jax := other()):\n    jax.jit(f)", None),
        ("from . import jax\njax.jit(f)", "..jax.jit"),
        ("from .jax import random\nrandom.split(k)", ".jax.random.split"),
    ],
)
def test_a_name_is_what_it_stands_for(text, dotted):
    assert named(text) == dotted


def test_a_binding_is_the_last_one_before_in_the_same_branch():
    module = Module("def f(a):\n    if a:\n        x = 1\n    else:\n        x = 2\n        y = x\n    return x\n")
    read = [each for each in module.nodes(ast.Name) if each.id == "x" and isinstance(each.ctx, ast.Load)]
    assert [module.binding(each).node.lineno for each in read] == [5, 5]
    in_test = Module("def f(x):\n    while (x := g(x)):\n        pass\n")
    inner = next(each for each in in_test.nodes(ast.Name) if each.id == "x" and isinstance(each.ctx, ast.Load))
    assert in_test.binding(inner).kind == "param"


def test_the_base_of_a_class_within_a_method_is_looked_up_outside_of_it():
    module = Module(
        "class A:\n    def f(self):\n        class B(self.Base): ...\n        return self.g()\n    def g(self): ..."
    )
    call = next(module.nodes(ast.Call))
    assert module.definition(call.func).name == "g"
    inner = next(each for each in module.nodes(ast.ClassDef) if each.name == "B")
    assert module.bases(inner) == {"?"}


@pytest.mark.parametrize("text", ["x = x\nx()", "a = b\nb = a\na()", "class A(A): ...\nA.f()", "f = lambda: f()\nf()"])
def test_what_is_defined_by_itself_ends(text):
    module = Module(text)
    for call in module.nodes(ast.Call):
        module.dotted(call.func)
        module.definition(call.func)
        module.value(call.func)


def test_places_count_characters_where_the_parser_counts_bytes():
    module = Module("é = 'ü'; name = g(é)\r\n")
    call = next(module.nodes(ast.Call))
    assert module.source(call) == "g(é)"
    assert module.text[slice(*module.span(call))] == "g(é)"


def test_a_loop_is_what_evaluates_a_node_again():
    module = Module(
        "for a in first():\n    inside()\nelse:\n    last()\n[each() for b in once() if test()]\n"
        "while condition():\n    def f():\n        later()\n"
    )
    loops = {each.func.id: module.loop(each) is not None for each in module.nodes(ast.Call)}
    assert loops == {
        "first": False, "inside": True, "last": False, "each": True, "once": False, "test": True, "condition": True,
        "later": False,
    }  # fmt: skip
