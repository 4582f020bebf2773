"""Where the random keys of a module go, and where one is drawn from twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from verax.lint._key_calls import call
from verax.lint._key_names import FIXED, FOLD_IN, LAYERS, MADE, RANDOM, in_test, sampled_by
from verax.lint._key_pass import Body, Pass
from verax.lint._key_values import Guard, Summary, Token, Use, exclusive
from verax.lint._key_walk import Walk
from verax.lint._module import Module
from verax.lint._report import Level
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._traced_params import parameters
from verax.lint._transforms import BODIES, EAGER, PARTIAL, STAGING
from verax.lint._unwrapped import unwrapped

KEYS = ("made", "split", "folded")  # what is a key for certain, and one alone
Code = Literal["VX101", "VX102", "VX103", "VX104", "VX107", "VX108"]


@dataclass
class Mistake:
    """A key that is drawn from where it must not be.

    Attributes:
      code: of the rule that reports it.
      node: the place.
      name: of the key, as the code calls it.
      first: the earlier draw; of VX107 and VX108 the only one, and None where it is one for each leaf of a tree.
      use: the draw that is wrong; None where the key is not drawn from but given back or folded.
      token: the key.
      body: the function or module in which it happens.
      level: how sure that is.
    """

    code: Code
    node: ast.AST
    name: str
    first: Use | None = None
    use: Use | None = None
    token: Token | None = None
    body: Body | None = None
    level: Level = "error"


def key_mistakes(module: Module, code: Code) -> Iterator[Mistake]:
    """Yields the mistakes with keys that a rule reports, one at a place."""
    for each in module.shared("keys", Keys).mistakes.values():
        if each.code == code:
            yield each


def known_function(module: Module, dotted: str) -> Summary | None:
    """Returns what a function of another file of the project does with keys; None where that is not known."""
    project = module.known.get("project")
    unknown: set[str] = module.shared("unknown helpers", lambda module: set())
    found = None if project is None or dotted in unknown else project.function(module, dotted)
    if found is None:
        unknown.add(dotted)
        return None
    other, function = found
    if not isinstance(function, FUNCTIONS) or other.parents[function] is not other.tree:
        return None
    return other.shared("keys of helpers", lambda module: Keys(module, is_whole=False)).summary(function)


def summary_of(module: Module, function: Function) -> Summary | None:
    """Returns what a function of a module does with keys."""
    return module.shared("keys", Keys).summary(function)


@dataclass(init=False)
class Keys:
    """The analysis of a module.

    Args:
      module: what is analysed.
      is_whole: whether all of it is walked at once, else its functions as they are asked for.

    Attributes:
      mistakes: by place.
    """

    module: Module
    mistakes: dict[ast.AST, Mistake] = field(default_factory=dict)

    def __init__(self, module: Module, is_whole: bool = True):
        self.module, self.mistakes = module, {}
        self.summaries: dict[ast.AST, Summary | None] = {}
        for body in _drawing(module) if is_whole else ():
            self.summary(body)

    def summary(self, body: Body) -> Summary | None:
        """Returns what a function does with its keys; None while it is being found out, as in a recursion."""
        if body not in self.summaries:
            self.summaries[body] = None
            walk = Walk(self, body, call)
            walk.run()
            self.summaries[body] = _summed(walk)
        return self.summaries[body]

    def known(self, dotted: str) -> Summary | None:
        """Returns what a function of another file does with keys."""
        return known_function(self.module, dotted)

    # What a pass meets.

    def conflict(self, walk: Pass, token: Token, first: Use, use: Use) -> None:
        """Notes that a key was drawn from twice."""
        again = first.is_at(use.node)
        unknown = first.strength == use.strength == "weak"
        tested = in_test(self.module, use.node)
        single = token.kind in KEYS and not token.name.endswith("s")  # `keys` are many
        if unknown and (not single or first.what == use.what or use.inner or tested):
            return  # twice the same call is often meant to give the same twice
        if again and (use.inner or use.strength == "weak"):
            return  # the same function called twice: often on purpose, to hold its noise fixed
        if again and (FIXED.search(token.name) or FIXED.search(use.what)):
            return  # an evaluation that is to be the same each time
        if tested and (again or not _are_two_samplers(first, use)):
            return
        code: Code = "VX102" if again else "VX103" if first.is_split else "VX101"
        old = self.mistakes.get(use.node)
        if old is None:
            may_be_meant = tested or is_call_of(self.module, first, use)
            level: Level = "note" if unknown else "warning" if may_be_meant else "error"
            self.mistakes[use.node] = Mistake(code, use.node, token.name, first, use, token, walk.body, level)
        elif old.token is token and old.code in ("VX101", "VX103") and not use.inner and not tested:
            old.code = "VX102"  # the second pass of a loop meets the same key

    def given_back(self, walk: Pass, node: ast.AST, token: Token, first: Use) -> None:
        """Notes that a key that was drawn from goes back to the caller."""
        self.mistakes.setdefault(node, Mistake("VX104", node, token.name, first, None, token, walk.body))

    def folded_again(
        self, walk: Pass, node: ast.Call, first: tuple[ast.Call, tuple[Guard, ...]], identity: tuple[Any, ...]
    ) -> None:
        """Notes that `fold_in` got the same key and data twice."""
        assert walk.state is not None
        if exclusive(first[1], walk.state.guards):
            return
        if first[0] is not node and any(isinstance(each, Token) for each in identity):
            return  # the key of a step, made again where it is needed
        use = Use(first[0], "strong", "fold_in")
        self.mistakes.setdefault(node, Mistake("VX108", node, "", use, None, None, walk.body))

    def folded_in_body(self, node: ast.Call) -> None:
        """Notes that the body of a loop of JAX folds the same data into a key from outside."""
        self.mistakes.setdefault(node, Mistake("VX108", node, "", Use(node, "strong", "fold_in")))

    def captured_by_loop(self, use: Use, path: tuple[Any, ...]) -> None:
        """Notes that the body of a loop of JAX draws from a key from outside."""
        if use.strength == "strong":
            self.mistakes[use.node] = Mistake("VX107", use.node, _shown(path), use, use)

    def captured_by_map(self, use: Use, path: tuple[Any, ...]) -> None:
        """Notes that a function of each leaf draws from a key from outside."""
        if not in_test(self.module, use.node):
            mistake = Mistake("VX107", use.node, _shown(path), None, use, level="warning")  # a tree may have one leaf
            self.mistakes.setdefault(use.node, mistake)


def _shown(path: tuple[Any, ...]) -> str:
    return path[0] + "".join(f".{one[1]}" if one[0] == "." else f"[{one[1]}]" for one in path[1:])


def _summed(walk: Walk) -> Summary:
    """Returns what a finished pass says of its function."""
    summary = Summary()
    if not isinstance(walk.body, ast.Module):
        summary.parameters = tuple(each.arg for each in parameters(walk.body))
    for state in walk.exits:
        for token, use in state.used.items():
            if token.path is None:
                continue
            if token.kind == "param":
                _keep(summary.params, token.path[0], use)
            elif token.kind == "captured":
                _keep(summary.captured, token.path, use)
    summary.folds = walk.folds
    results = set(walk.results)
    only = results.pop() if len(results) == 1 else None
    if isinstance(only, Token) and only.kind == "param" and only.path is not None:
        summary.returns = only.path[0]
    return summary


def _are_two_samplers(first: Use, use: Use) -> bool:
    """Returns whether two draws are by two samplers of JAX, so that they are not there to be compared."""
    return first.what != use.what and first.what.startswith(RANDOM) and use.what.startswith(RANDOM)


def _keep(found: dict[Any, Use], place: Any, use: Use) -> None:
    if place not in found or (found[place].strength == "weak" and use.strength == "strong"):
        found[place] = use


def _drawing(module: Module) -> list[Body]:
    """Returns the functions, and the module, in which a key may be drawn from: by themselves or in what they call."""
    found: dict[ast.AST, None] = {}
    waiting: dict[str, list[ast.AST]] = {}
    for node in module.nodes(ast.Call):
        body = module.function(node) or module.tree
        name = module.dotted(node.func)
        if name is not None:
            draws = (
                name in MADE
                or name in FOLD_IN
                or name in BODIES
                or bool(LAYERS.match(name))
                or known_function(module, name) is not None
            )
            if draws or sampled_by(module, node.func) is not None:
                found[body] = None
            if name in STAGING or name in EAGER or name in PARTIAL:
                for each in node.args[:1]:
                    waiting.setdefault(_last(each), []).append(body)
            if name.startswith(("jax.", "builtins.", "numpy.")):
                continue
        elif isinstance(node.func, ast.Call) and sampled_by(module, node.func) is not None:
            found[body] = None
        func = node.func
        while isinstance(func, ast.Call) and func.args:
            func = func.args[0]
        waiting.setdefault(_last(func), []).append(body)
    left = list(found)
    while left:
        body = left.pop()
        around = module.function(body) or module.tree if body is not module.tree else None
        callers = waiting.get(getattr(body, "name", ""), []) if body is not module.tree else []
        if getattr(body, "name", "") in ("__init__", "setup"):
            owner = module.class_around(body)
            callers = waiting.get(owner.name, []) if owner is not None else []
        for each in (*callers, *([around] if around is not None else [])):
            if each not in found:
                found[each] = None
                left.append(each)
    return list(found)  # type: ignore[arg-type]


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "<other>"


def is_call_of(module: Module, first: Use, use: Use) -> bool:
    """Returns whether a draw is another call of the function in which the first one stands."""
    if not first.inner or use.inner or not isinstance(use.node, ast.Call):
        return False
    return any(module.function(first.node) is function for function, *_ in unwrapped(module, use.node.func))


def line_of(node: ast.AST) -> int:
    """Returns the line in which a node begins."""
    return getattr(node, "lineno", 1)
