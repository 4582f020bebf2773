"""Which expressions hold traced values: those without a value while JAX traces."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, cast

from verax.lint._module import Module
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._taint_names import (
    ARRAY_ATTRIBUTES,
    ARRAY_LINALG,
    ARRAY_METHODS,
    ARRAY_TYPES,
    FLAG_NAMES,
    FLATTEN,
    LAYERS,
    LEAVES,
    LEAVES_FUNCTIONS,
    MAPS,
    MASK_LAX,
    MASK_NUMPY,
    OPTAX_ARRAYS,
    PLAIN_TYPES,
    SEVERAL_NUMPY,
    STATIC_ATTRIBUTES,
    STATIC_NUMPY,
    TESTS_OF_KIND,
    TREE_FUNCTIONS,
    TREE_LAX,
    TREE_METHODS,
)
from verax.lint._traced import (
    ABSTRACT,
    BODIES,
    EAGER,
    HOST,
    JITS,
    KEEPS_PYTHON,
    PARTIAL,
    STAGING,
    Transform,
    function_given,
    traced,
    transform_of,
    transforms_around,
)


class Level(IntEnum):
    """What is known of a value.

    Attributes:
      PLAIN: a Python value, or nothing is known.
      FLAG: a traced parameter that is meant as a flag or a mode.
      SEQUENCE: a Python sequence of traced values: its length and truth are known.
      TREE: a traced array, or a tree of them.
      ARRAY: a traced array.
      MASK: a traced array of truth values.
    """

    PLAIN = 0
    FLAG = 1
    SEQUENCE = 2
    TREE = 3
    ARRAY = 4
    MASK = 5


PLAIN, FLAG, SEQUENCE, TREE, ARRAY, MASK = Level
Value = Level | tuple[Any, ...] | ast.ClassDef  # a tuple of values; an object of a class whose fields are traced
Env = dict[str, Value]

TRACER_ERRORS = ("Tracer", "Concret", "Exception", "TypeError")
DEEPEST = 3  # of calls that are followed


@dataclass(eq=False)
class Taint:
    """What is known of the expressions in traced functions.

    Attributes:
      staged: of those evaluated on tracers without values; what is not in it is PLAIN.
      eager: of those under differentiation alone, where Python sees values but NumPy does not.
      functions: what each function was analysed as, `staged` or `eager`.
      left: how many calls may still be followed; it bounds the time.
    """

    staged: dict[ast.AST, Value] = field(default_factory=dict)
    eager: dict[ast.AST, Value] = field(default_factory=dict)
    functions: dict[Function, str] = field(default_factory=dict)
    left: int = 2000

    def of(self, node: ast.AST) -> Level:
        """Returns what an expression is in staged code."""
        return flat(self.staged.get(node, PLAIN))

    def anywhere(self, node: ast.AST) -> Level:
        """Returns what an expression is in staged code or under differentiation."""
        return max(self.of(node), flat(self.eager.get(node, PLAIN)))


def taint(module: Module) -> Taint:
    """Returns what is known of the expressions in traced functions of a module."""
    return module.shared("taint", _taint)


def flat(value: Value) -> Level:
    """Returns one level for a value of several parts."""
    if isinstance(value, Level):
        return value
    if isinstance(value, tuple):
        return SEQUENCE if value and all(flat(each) for each in value) else PLAIN
    return PLAIN


def is_array(level: Level) -> bool:
    """Returns whether a value is an array for sure."""
    return level >= ARRAY


def _taint(module: Module) -> Taint:
    found = Taint()
    known = traced(module)
    for function in sorted(known.of, key=lambda each: (each.lineno, each.col_offset)):
        if function in found.functions or function in known.host:
            continue
        if any(each in known.of for each in list(module.functions(function))):
            continue  # with the traced function around it
        _Walk(module, found, {}, is_staged=False, omni=False).function(function, ())
    for function in known.of:  # what is left stands where the walk did not come by: in a class within, after a return
        if function not in found.functions and function not in known.host:
            _Walk(module, found, {}, is_staged=False, omni=False).function(function, ())
    return found


def join(one: Value, other: Value) -> Value:
    """Returns what a value is that is one or the other, each traced; PLAIN where only one of them is."""
    if one == other:
        return one
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return tuple(join(a, b) for a, b in zip(one, other, strict=True))
    first, second = flat(one), flat(other)
    return min(first, second) if first and second else PLAIN


def either(one: Value, other: Value) -> Value:
    """Returns what a value is after a loop: what it was before, or what a pass made of it."""
    if one == other:
        return one
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return tuple(either(a, b) for a, b in zip(one, other, strict=True))
    first, second = flat(one), flat(other)
    return max(first, second) if not (first and second) else min(first, second)


class _Walk:
    """Runs a function on levels instead of values."""

    def __init__(
        self, module: Module, found: Taint, env: Env, *, is_staged: bool, omni: bool, depth: int = 0,
        record: bool = True,
    ):  # fmt: skip
        self.module, self.found, self.env, self.depth, self.record = module, found, env, depth, record
        self.is_staged, self.omni = is_staged, omni
        self.returned: list[Value] = []
        self.nested: dict[Function, list[list[Value]]] = {}
        self.keywords: dict[Function, list[dict[str, Value]]] = {}
        self.loops = 0
        self.has_modes = False

    # Functions.

    def function(self, node: Function, calls: tuple[tuple[list[Value], dict[str, Value]], ...]) -> Value:
        """Runs a function, with the levels of its calls where it is no transform's; returns what it returns."""
        known = traced(self.module)
        if node in known.host:
            return PLAIN
        transforms = known.of.get(node, [])
        staged = [each for each in transforms if each.way == "staged"]
        if self.record:
            if node in self.found.functions and not calls:
                return PLAIN
            self.found.functions[node] = "staged" if staged or self.is_staged else "eager"
        self.has_modes = self.has_modes or node in called_directly(self.module)
        self.is_staged = self.is_staged or bool(staged)
        self.omni = self.omni or any(not each.name.endswith("vmap") and each.name not in ABSTRACT for each in staged)
        params = self.params(node, staged or transforms) if transforms else {}
        every = [*node.args.posonlyargs, *node.args.args]
        for values, named in calls:
            for place, each in enumerate(every):
                value = values[place] if place < len(values) else named.get(each.arg, PLAIN)
                if flat(value) or isinstance(value, tuple | ast.ClassDef):
                    params[each.arg] = either(params.get(each.arg, PLAIN), value)
        for each in [*every, *node.args.kwonlyargs]:
            self.env[each.arg] = params.get(each.arg, PLAIN)
        for each in (node.args.vararg, node.args.kwarg):
            if each is not None:
                self.env[each.arg] = params.get(each.arg, PLAIN)
        if isinstance(node, ast.Lambda):
            self.returned.append(self.value(node.body))
        else:
            self.body(node.body)
        self.finish()
        result: Value | None = None
        for each in self.returned:
            result = each if result is None else join(result, each)
        return PLAIN if result is None else result

    def finish(self) -> None:
        """Runs the functions that were defined on the way, on what they were called with."""
        for function in list(self.nested):
            calls = tuple(zip(self.nested[function], self.keywords[function], strict=True))
            inner = _Walk(
                self.module, self.found, dict(self.env), is_staged=self.is_staged, omni=self.omni, depth=self.depth,
                record=self.record,
            )  # fmt: skip
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inner.function(function, calls)

    def params(self, node: Function, transforms: list[Transform]) -> Env:
        """Returns what the parameters of a traced function are."""
        if any(each.name.endswith("pallas_call") for each in transforms):
            return {}  # references to memory, which a kernel writes
        static = frozenset[str]().union(*(each.static for each in transforms))
        keeps = any(each.name in KEEPS_PYTHON for each in transforms)
        jitted = all(each.name in JITS for each in transforms)
        body = any(each.name in BODIES for each in transforms)
        eager = all(each.way == "eager" for each in transforms)
        found: Env = {}
        by_place = [*node.args.posonlyargs, *node.args.args]
        defaults = dict(zip([each.arg for each in by_place[::-1]], node.args.defaults[::-1], strict=False))
        for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if default is not None:
                defaults[each.arg] = default
        for place, each in enumerate([*by_place, *node.args.kwonlyargs]):
            if each.arg in static or (place == 0 and each.arg in ("self", "cls")):
                continue
            default = defaults.get(each.arg)
            is_given = default is None or (jitted and not isinstance(node, ast.Lambda))
            if each not in by_place and not jitted and not eager:
                is_given = False
            value = self.parameter(each, default, jitted=jitted, body=body, keeps=keeps)
            if is_given or (isinstance(default, ast.Constant) and default.value is None and jitted):
                if flat(value) == FLAG and (eager or (default is not None and _is_partial(self.module, transforms))):
                    continue
                if default is not None and flat(value) != FLAG:
                    unseen = _is_none(default) or not static  # who names what is static gives nothing else like it
                    if not _is_passed(self.module, node, each.arg, place, unseen):
                        continue  # the default stays, a Python value
                found[each.arg] = value
        if not keeps and node.args.vararg is not None and not static:
            found[node.args.vararg.arg] = SEQUENCE
        return found

    def parameter(self, node: ast.arg, default: ast.expr | None, *, jitted: bool, body: bool, keeps: bool) -> Value:
        """Returns what a parameter that is given as a traced value is."""
        kind = self.annotated(node.annotation)
        if keeps:
            return ARRAY if kind == ARRAY and _is_array_type(self.module, node.annotation) else PLAIN
        if kind == FLAG and body:
            return ARRAY
        if kind is not None:
            return kind
        if isinstance(default, ast.Constant):
            if isinstance(default.value, bool | str):
                return FLAG
            if default.value is None or isinstance(default.value, int | float):
                return TREE
            return PLAIN
        if default is not None:
            return TREE if isinstance(default, ast.UnaryOp) else PLAIN
        if jitted and (node.arg in FLAG_NAMES):
            return FLAG
        return TREE

    def annotated(self, node: ast.expr | None) -> Value | None:
        """Returns what an annotation says of a traced value; None where it says nothing."""
        if node is None:
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                inner = ast.parse(node.value.strip(), mode="eval").body
            except (SyntaxError, ValueError):
                return None
            return self.annotated(inner) if not isinstance(inner, ast.Constant) else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            kinds = {self.annotated(each) for each in (node.left, node.right) if not _is_none(each)}
            return kinds.pop() if len(kinds) == 1 else TREE
        if isinstance(node, ast.Subscript):
            name = _last(node.value)
            if name == "Optional":
                return self.annotated(node.slice)
            if name == "Annotated" and isinstance(node.slice, ast.Tuple):
                return self.annotated(node.slice.elts[0])
            if name == "Literal":
                return FLAG
            if name in ARRAY_TYPES:
                return ARRAY
            if name in PLAIN_TYPES:
                return PLAIN
            return TREE
        name = _last(node)
        if name in ("bool", "str"):
            return FLAG
        if name in ("int", "float", "complex") or name in ARRAY_TYPES:
            return ARRAY
        if name in PLAIN_TYPES or (name or "").endswith(("Config", "Module")):
            return PLAIN
        try:
            owner = self.module.definition(node) if node in self.module.scopes else None
        except KeyError:
            owner = None
        if isinstance(owner, ast.ClassDef):
            return owner if is_pytree(self.module, owner) else PLAIN
        return TREE

    # Statements.

    def body(self, statements: list[ast.stmt]) -> bool:
        """Runs statements; returns whether the end of them is reached."""
        return all(self.run(each) for each in statements)

    def run(self, node: ast.stmt) -> bool:
        """Runs a statement; returns whether what follows is reached."""
        if isinstance(node, ast.Expr):
            self.value(node.value)
        elif isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self.assign(target, value)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.assign(node.target, self.value(node.value))
        elif isinstance(node, ast.AugAssign):
            before = self.value(node.target)
            value = self.operated(node.op, before, self.value(node.value), node.value)
            self.assign(node.target, value)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                self.returned.append(self.value(node.value))
            else:
                self.returned.append(PLAIN)
            return False
        elif isinstance(node, ast.Raise):
            if node.exc is not None:
                self.value(node.exc)
            return False
        elif isinstance(node, ast.Continue | ast.Break):
            return False
        elif isinstance(node, ast.If):
            return self.run_if(node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self.run_loop(node.body, lambda: self.assign(node.target, self.element(node.iter)))
            return self.body(node.orelse)
        elif isinstance(node, ast.While):
            self.run_loop(node.body, lambda: self.value(node.test))
            return self.body(node.orelse)
        elif isinstance(node, ast.With | ast.AsyncWith):
            return self.run_with(node)
        elif isinstance(node, ast.Try):
            return self.run_try(node)
        elif isinstance(node, ast.Match):
            return self.run_match(node)
        elif isinstance(node, ast.Assert):
            self.value(node.test)
            for name in _names_tested_for_kind(self.module, node.test):
                self.env[name] = PLAIN
            if node.msg is not None:
                self.value(node.msg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.env[node.name] = PLAIN
            self.nested.setdefault(node, [])
            self.keywords.setdefault(node, [])
            for default in [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]:
                self.value(default)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self.env.pop(target.id, None)
        return True

    def run_if(self, node: ast.If) -> bool:
        test = self.level(node.test)
        tested = _names_tested_for_kind(self.module, node.test)
        kept = {name: self.env[name] for name in tested if name in self.env}
        for name in tested:
            self.env[name] = PLAIN  # which kind it is in which branch is not followed
        before = dict(self.env)
        # Where the function also runs untraced, a test of a Python value may tell which of the two it is.
        run = self.unseen if self.has_modes and test == PLAIN else self.body
        reached = run(node.body)
        after = self.env
        self.env = before
        reached_else = run(node.orelse)
        if reached and reached_else:
            self.env = _merged(after, self.env, join)
        elif reached:
            self.env = after
        if reached and reached_else:
            for name, value in kept.items():
                if self.env.get(name) == PLAIN and not _binds(node, name):
                    self.env[name] = value
        return reached or reached_else

    def run_loop(self, body: list[ast.stmt], start: Callable[[], object]) -> None:
        self.loops += 1
        for _ in range(2 if self.loops < 4 else 1):
            before = dict(self.env)
            start()
            self.body(body)
            self.env = _merged(before, self.env, either)
        self.loops -= 1

    def run_with(self, node: ast.With | ast.AsyncWith) -> bool:
        is_concrete = False
        for item in node.items:
            value = self.value(item.context_expr)
            called = self.module.called(item.context_expr) or ""
            is_concrete = is_concrete or called.endswith(("ensure_compile_time_eval", "eager_mode", "disable_jit"))
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value if flat(value) else PLAIN)
        if is_concrete:
            return self.unseen(node.body)
        return self.body(node.body)

    def unseen(self, statements: list[ast.stmt]) -> bool:
        """Runs statements of which nothing is known or told."""
        record, self.record, before = self.record, False, dict(self.env)
        reached = self.body(statements)
        self.record = record
        self.env = {name: value if before.get(name) == value else PLAIN for name, value in self.env.items()}
        return reached

    def run_try(self, node: ast.Try) -> bool:
        is_guard = any(
            each.type is None or any(word in ast.dump(each.type) for word in TRACER_ERRORS) for each in node.handlers
        )
        before = dict(self.env)
        reached = self.unseen(node.body) if is_guard else self.body(node.body)
        reached = reached and self.body(node.orelse)
        after = self.env
        for handler in node.handlers:
            self.env = dict(before)
            if self.body(handler.body):
                after = _merged(after, self.env, join) if reached else self.env
                reached = True
        self.env = after
        return self.body(node.finalbody) and reached

    def run_match(self, node: ast.Match) -> bool:
        subject = self.value(node.subject)
        before, after = dict(self.env), None
        is_whole = False
        for case in node.cases:
            self.env = dict(before)
            for pattern in ast.walk(case.pattern):
                if isinstance(pattern, ast.MatchAs | ast.MatchStar) and pattern.name:
                    is_subject = pattern is case.pattern or isinstance(case.pattern, ast.MatchOr)
                    self.env[pattern.name] = subject if is_subject else (TREE if flat(subject) >= SEQUENCE else PLAIN)
                elif isinstance(pattern, ast.MatchValue):
                    self.value(pattern.value)
            if case.guard is not None:
                self.value(case.guard)
            elif isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None:
                is_whole = True
            if self.body(case.body):
                after = self.env if after is None else _merged(after, self.env, join)
        if not is_whole:
            after = before if after is None else _merged(after, before, join)
        self.env = before if after is None else after
        return after is not None

    def assign(self, target: ast.expr, value: Value) -> None:
        """Binds a target."""
        if isinstance(target, ast.Name):
            self.env[target.id] = value
            if self.record and flat(value):
                self.note(target, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, SEQUENCE if flat(value) else PLAIN)
        elif isinstance(target, ast.Tuple | ast.List):
            has_star = any(isinstance(each, ast.Starred) for each in target.elts)
            for place, each in enumerate(target.elts):
                if isinstance(value, tuple) and not has_star and len(value) == len(target.elts):
                    self.assign(each, value[place])
                else:
                    self.assign(each, self.part(value))
        elif isinstance(target, ast.Attribute):
            self.value(target.value)
            path = _path(target)
            if path is not None:
                self.env[path] = value
        elif isinstance(target, ast.Subscript):
            self.value(target.value)
            self.value(target.slice)

    def part(self, value: Value) -> Value:
        """Returns what an element of an unpacked value is."""
        if isinstance(value, tuple):
            found = [flat(each) for each in value]
            return min(found) if found else PLAIN
        if isinstance(value, ast.ClassDef):
            return PLAIN
        if value in (SEQUENCE, TREE):
            return TREE
        return value if value != FLAG else PLAIN

    def element(self, node: ast.expr) -> Value:
        """Returns what a loop over an expression gives."""
        value = self.value(node)
        if isinstance(node, ast.Call):
            name = self.module.dotted(node.func)
            if name == "builtins.enumerate" and node.args:
                return (PLAIN, self.element(node.args[0]))
            if name == "builtins.zip":
                return tuple(self.element(each) for each in node.args)
            if name in ("builtins.reversed", "builtins.list", "builtins.tuple") and len(node.args) == 1:
                return self.element(node.args[0])
            if isinstance(node.func, ast.Attribute) and not node.args:
                inner = flat(self.value(node.func.value))
                if node.func.attr == "items":
                    return (PLAIN, TREE if inner == TREE else PLAIN)
                if node.func.attr == "values":
                    return TREE if inner == TREE else PLAIN
        if isinstance(value, tuple):
            return self.part(value)
        level = flat(value)
        if level == SEQUENCE:
            return TREE
        return level if is_array(level) else PLAIN  # a dictionary gives its keys

    # Expressions.

    def note(self, node: ast.AST, value: Value) -> None:
        into = self.found.staged if self.is_staged else self.found.eager
        before = into.get(node)
        into[node] = value if before is None else either(before, value)

    def value(self, node: ast.expr) -> Value:
        """Returns what an expression is, and notes it."""
        method = _EXPRESSIONS.get(type(node))
        found = method(self, node) if method is not None else self.others(node)
        if self.record and found != PLAIN:
            self.note(node, found)
        return found

    def level(self, node: ast.expr) -> Level:
        return flat(self.value(node))

    def others(self, node: ast.expr) -> Value:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.expr):
                self.value(each)
            elif isinstance(each, ast.FormattedValue):
                self.value(each.value)
        return PLAIN

    def name(self, node: ast.Name) -> Value:
        return self.env.get(node.id, PLAIN)

    def constant(self, node: ast.Constant) -> Value:
        return PLAIN

    def attribute(self, node: ast.Attribute) -> Value:
        value = self.value(node.value)
        path = _path(node)
        if path is not None and path in self.env:
            return self.env[path]
        if isinstance(value, ast.ClassDef):
            return self.fields(value).get(node.attr, PLAIN)
        level = flat(value)
        if node.attr in ("ndim", "dtype", "at", "shape") and level == TREE and isinstance(node.value, ast.Name):
            self.env[node.value.id] = ARRAY  # only arrays have it
        if not level or node.attr in STATIC_ATTRIBUTES:
            return PLAIN
        if node.attr in ARRAY_ATTRIBUTES and level >= TREE:
            return ARRAY
        if node.attr in LEAVES and level == TREE:
            return TREE
        return PLAIN

    def fields(self, owner: ast.ClassDef) -> Env:
        """Returns what the fields of a class of arrays are."""
        cache: dict[ast.ClassDef, Env] = self.module.shared("fields of classes", lambda module: {})
        if owner not in cache:
            cache[owner] = found = {}
            for each in owner.body:
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    is_static = each.value is not None and any(
                        isinstance(one, ast.keyword) and one.arg in ("pytree_node", "static", "metadata")
                        for one in ast.walk(each.value)
                    )
                    kind = self.annotated(each.annotation)
                    plain = kind is None or kind == FLAG or is_static or _last(each.annotation) in ("Any", "object")
                    found[each.target.id] = PLAIN if plain else kind  # type: ignore[assignment]
        return cache[owner]

    def subscript(self, node: ast.Subscript) -> Value:
        value = self.value(node.value)
        index = self.level(node.slice)
        if isinstance(value, tuple):
            place = node.slice
            if isinstance(place, ast.UnaryOp) and isinstance(place.operand, ast.Constant):
                number = place.operand.value
                number = -number if isinstance(number, int) and isinstance(place.op, ast.USub) else None
            else:
                number = place.value if isinstance(place, ast.Constant) else None
            if isinstance(number, int) and -len(value) <= number < len(value):
                return value[number]
            return self.part(value)
        level = flat(value)
        if level == SEQUENCE:
            return SEQUENCE if isinstance(node.slice, ast.Slice) else TREE
        if level == PLAIN:
            return ARRAY if is_array(index) and not isinstance(node.value, ast.Dict) else PLAIN
        return level if level != FLAG else PLAIN

    def slice(self, node: ast.Slice) -> Value:
        for each in (node.lower, node.upper, node.step):
            if each is not None:
                self.value(each)
        return PLAIN

    def sequence(self, node: ast.Tuple | ast.List) -> Value:
        if any(isinstance(each, ast.Starred) for each in node.elts):
            levels = [self.level(each) for each in node.elts]
            return SEQUENCE if levels and all(levels) else PLAIN
        return tuple(self.value(each) for each in node.elts)

    def starred(self, node: ast.Starred) -> Value:
        return self.value(node.value)

    def dictionary(self, node: ast.Dict) -> Value:
        for each in node.keys:
            if each is not None:
                self.value(each)
        levels = [self.level(each) for each in node.values]
        return TREE if levels and all(each >= SEQUENCE for each in levels) else PLAIN

    def operation(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Mod) and (isinstance(node.left, ast.JoinedStr) or _is_string(node.left)):
            return PLAIN
        return self.operated(node.op, left, right, node.right)

    def operated(self, operator: ast.operator, left: Value, right: Value, other: ast.expr) -> Value:
        if isinstance(left, tuple) or isinstance(right, tuple):
            if isinstance(operator, ast.Add) and isinstance(left, tuple) and isinstance(right, tuple):
                return (*left, *right)
            return SEQUENCE if flat(left) and (flat(right) or isinstance(operator, ast.Mult)) else PLAIN
        one, two = flat(left), flat(right)
        if not one and not two:
            return PLAIN
        if SEQUENCE in (one, two):
            return SEQUENCE if one == two or isinstance(operator, ast.Mult) else PLAIN
        if MASK in (one, two) and isinstance(operator, ast.BitAnd | ast.BitOr | ast.BitXor):
            return MASK
        if is_array(one) or is_array(two):
            return ARRAY
        if isinstance(operator, ast.Add | ast.Mult | ast.BitOr | ast.BitAnd):
            is_number = isinstance(other, ast.Constant) and isinstance(other.value, int | float)
            if is_number and isinstance(operator, ast.Add):
                return ARRAY
            if isinstance(operator, ast.Mult) and one == two == TREE:
                return ARRAY
            return TREE if TREE in (one, two) else PLAIN
        return ARRAY

    def unary(self, node: ast.UnaryOp) -> Value:
        level = self.level(node.operand)
        if isinstance(node.op, ast.Not):
            return level if level == FLAG or is_array(level) else PLAIN
        if level == TREE:
            return ARRAY
        return level if is_array(level) else PLAIN

    def boolean(self, node: ast.BoolOp) -> Value:
        levels: list[Level] = []
        guarded = False
        for each in node.values:
            level = PLAIN if guarded and self.unnoted(each) is None else self.level(each)
            levels.append(level)
            guarded = guarded or bool(_names_tested_for_kind(self.module, each))
        if any(is_array(each) for each in levels):
            return ARRAY
        if FLAG in levels:
            return FLAG
        return TREE if all(each >= SEQUENCE for each in levels) else PLAIN

    def unnoted(self, node: ast.expr) -> None:
        record, self.record = self.record, False
        self.value(node)
        self.record = record

    def comparison(self, node: ast.Compare) -> Value:
        values = [self.value(each) for each in (node.left, *node.comparators)]
        nodes = [node.left, *node.comparators]
        result = PLAIN
        for place, operator in enumerate(node.ops):
            one, two = values[place], values[place + 1]
            result = max(result, self.compared(operator, one, two, nodes[place], nodes[place + 1]))
        return result

    def compared(self, operator: ast.cmpop, one: Value, two: Value, left: ast.expr, right: ast.expr) -> Level:
        if isinstance(operator, ast.Is | ast.IsNot):
            return PLAIN
        first, second = flat(one), flat(two)
        if isinstance(operator, ast.In | ast.NotIn):
            is_mode = isinstance(left, ast.Name) and first in (FLAG, TREE) and _is_strings(right)
            return FLAG if is_mode else PLAIN
        if _is_string(left) or _is_string(right):
            other, level = (right, second) if _is_string(left) else (left, first)
            return FLAG if isinstance(other, ast.Name) and level in (FLAG, TREE) else PLAIN
        if _is_none(left) or _is_none(right):
            return PLAIN
        if isinstance(one, tuple) or isinstance(two, tuple) or SEQUENCE in (first, second):
            return PLAIN
        if is_array(first) or is_array(second):
            return MASK
        if TREE in (first, second):
            if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                return MASK
            return MASK if _is_number(left) or _is_number(right) or first == second else PLAIN
        return FLAG if FLAG in (first, second) else PLAIN

    def conditional(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        if _names_tested_for_kind(self.module, node.test):
            self.unnoted(node.body)
            self.unnoted(node.orelse)
            return PLAIN
        return join(self.value(node.body), self.value(node.orelse))

    def walrus(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        self.assign(node.target, value)
        return value

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        kept = dict(self.env)
        for each in node.generators:
            self.assign(each.target, self.element(each.iter))
            for condition in each.ifs:
                self.value(condition)
        if isinstance(node, ast.DictComp):
            self.value(node.key)
            result: Value = TREE if self.level(node.value) >= SEQUENCE else PLAIN
        else:
            result = SEQUENCE if self.level(node.elt) >= SEQUENCE else PLAIN
        bound = {each.id for one in node.generators for each in ast.walk(one.target) if isinstance(each, ast.Name)}
        for name in bound:
            self.env.pop(name, None)
            if name in kept:
                self.env[name] = kept[name]
        return result

    def anonymous(self, node: ast.Lambda) -> Value:
        self.inner(node, ())
        return PLAIN

    def inner(self, node: Function, values: tuple[tuple[list[Value], dict[str, Value]], ...]) -> Value:
        """Runs a function that is defined here, on what is known here."""
        walk = _Walk(
            self.module, self.found, dict(self.env), is_staged=self.is_staged, omni=self.omni, depth=self.depth,
            record=self.record,
        )  # fmt: skip
        return walk.function(node, values)

    # Calls.

    def call(self, node: ast.Call) -> Value:
        name = self.module.dotted(node.func)
        is_map = name in MAPS and len(node.args) > 1 and isinstance(node.args[0], ast.Lambda)
        values: list[Value] = [PLAIN] if is_map else []
        values += [self.value(each) for each in node.args[is_map:]]
        named = {each.arg or "**": self.value(each.value) for each in node.keywords}
        if is_map:
            over = [ARRAY if flat(each) == TREE and name != "builtins.map" else TREE for each in values[1:]]
            known = [one if flat(each) else PLAIN for one, each in zip(over, values[1:], strict=True)]
            values[0] = self.inner(cast(ast.Lambda, node.args[0]), ((cast(list[Value], known), {}),))
        levels = [flat(each) for each in (*values, *named.values())]
        has_traced = any(each >= SEQUENCE for each in levels) or any(
            isinstance(each, tuple) and any(flat(one) for one in each) for each in values
        )
        if name is not None:
            return self.named(name, node, values, has_traced)
        return self.unnamed(node, values, named, has_traced)

    def named(self, name: str, node: ast.Call, values: list[Value], has_traced: bool) -> Value:
        """Returns what a call of a function of a library or of Python gives."""
        library, _, last = name.rpartition(".")
        if library == "builtins":
            return self.builtin(last, values, has_traced)
        if library == "jax.numpy":
            if last in STATIC_NUMPY or not (has_traced or self.omni):
                return PLAIN
            if last in MASK_NUMPY:
                return MASK
            if last == "where" and len(node.args) == 1:
                return SEQUENCE
            if last in ("array", "asarray", "astype") and any(
                _last(each) in ("bool", "bool_") for each in [*node.args[1:], *(one.value for one in node.keywords)]
            ):
                return MASK
            return SEQUENCE if last in SEVERAL_NUMPY else ARRAY
        if name.startswith(("jax.numpy.", "jax.scipy.")):
            is_array = last in ARRAY_LINALG or library in ("jax.numpy.fft", "jax.scipy.special")
            return (ARRAY if is_array else TREE) if has_traced else PLAIN
        if library == "jax.random":
            if last in ("key_impl", "default_prng_impl") or not (has_traced or self.omni):
                return PLAIN
            return SEQUENCE if last == "split" else ARRAY
        if library == "jax.nn":
            return ARRAY if has_traced else PLAIN
        if library == "jax.lax":
            if not has_traced or last == "axis_size":
                return PLAIN
            return MASK if last in MASK_LAX else TREE if last in TREE_LAX else ARRAY
        if name in LEAVES_FUNCTIONS:
            return SEQUENCE if has_traced else PLAIN
        if name in FLATTEN:
            return (SEQUENCE, PLAIN) if has_traced else PLAIN
        if name in TREE_FUNCTIONS:
            if name in MAPS and values and isinstance(node.args[0], ast.Lambda):
                returned = flat(values[0])
                return TREE if returned else PLAIN
            return TREE if has_traced else PLAIN
        if name in OPTAX_ARRAYS:
            return ARRAY if has_traced else PLAIN
        if name in ("jax.vjp", "jax.linearize"):
            return (TREE, PLAIN) if has_traced else PLAIN
        if name == "jax.jvp":
            return (TREE, TREE) if has_traced else PLAIN
        if name in HOST and last != "print":
            return TREE if self.omni else PLAIN
        return PLAIN

    def builtin(self, name: str, values: list[Value], has_traced: bool) -> Value:
        level = flat(values[0]) if values else PLAIN
        if name in ("abs", "pow", "divmod"):
            return ARRAY if has_traced else PLAIN
        if name == "sum":
            return ARRAY if level == SEQUENCE or is_array(level) else PLAIN
        if name in ("list", "tuple", "reversed", "sorted"):
            return SEQUENCE if level == SEQUENCE or is_array(level) else PLAIN
        if name == "dict":
            return TREE if level == TREE else PLAIN
        return PLAIN

    def unnamed(self, node: ast.Call, values: list[Value], named: dict[str, Value], has_traced: bool) -> Value:
        """Returns what a call gives of a method, of a function of this file, or of what a call returns."""
        module, func = self.module, node.func
        if isinstance(func, ast.Call):
            self.value(func)
            if transform_of(module, func) is None and not isinstance(module.dotted(func.func), str):
                return PLAIN
            return self.transformed(module.dotted(func.func) or "", has_traced)
        if isinstance(func, ast.Attribute):
            base = self.value(func.value)
            level = flat(base)
            if isinstance(base, ast.ClassDef):
                return base if func.attr in TREE_METHODS else PLAIN
            if level:
                return self.method(func, level, node)
            if isinstance(func.value, ast.Compare) and func.attr in ("all", "any", "sum", "mean", "astype"):
                sides = [self.level(each) for each in (func.value.left, *func.value.comparators)]
                return ARRAY if TREE in sides else PLAIN  # what has these is an array
            if func.attr == "apply" and has_traced:
                return TREE
        elif isinstance(func, ast.Lambda):
            return self.inner(func, ((values, named),))
        elif isinstance(func, ast.Name) and func.id == "apply_fn" and has_traced:
            return TREE
        made = module.value(func) if isinstance(func, ast.Name) else func
        if isinstance(made, ast.Call):
            return self.transformed(module.dotted(made.func) or "", has_traced)
        found = module.definition(func)
        if not isinstance(found, FUNCTIONS) or any(isinstance(each, ast.Starred) for each in node.args):
            return PLAIN
        if isinstance(func, ast.Attribute) and not _is_static_method(module, found):
            values = [PLAIN, *values]
        if found in self.nested:
            self.nested[found].append(values)
            self.keywords[found].append(named)
        decorators = [] if isinstance(found, ast.Lambda) else found.decorator_list
        for each in decorators:
            kind = transform_of(module, each)
            if kind is not None:
                return self.transformed(kind[0], has_traced)
        if decorators and not all(module.dotted(each) == "builtins.staticmethod" for each in decorators):
            return PLAIN
        return self.followed(found, values, named)

    def transformed(self, name: str, has_traced: bool) -> Value:
        """Returns what a call of a transformed function gives: arrays."""
        if name in ABSTRACT:
            return PLAIN
        if name in STAGING or name in EAGER:
            if name in KEEPS_PYTHON:
                return TREE if (has_traced or self.omni) and "grad" in name else PLAIN
            return TREE if has_traced or (self.omni and name in JITS) else PLAIN
        if name.startswith(LAYERS):
            return TREE if has_traced else PLAIN
        return PLAIN

    def followed(self, function: Function, values: list[Value], named: dict[str, Value]) -> Value:
        """Returns what a function of this file returns on some values."""
        if self.depth >= DEEPEST or isinstance(function, ast.AsyncFunctionDef):
            return PLAIN
        given = (*values, *named.values())
        if not self.omni and not any(flat(each) or isinstance(each, tuple | ast.ClassDef) for each in given):
            return PLAIN
        cache: dict[object, Value] = self.module.shared("returns of calls", lambda module: {})
        key = (function, tuple(values), tuple(sorted(named.items(), key=lambda each: each[0])), self.omni)
        is_local = function in self.nested or isinstance(function, ast.Lambda)
        if key in cache and not is_local:
            return cache[key]
        cache[key] = PLAIN
        if _yields(self.module, function) or self.found.left <= 0:
            return PLAIN
        self.found.left -= 1
        walk = _Walk(
            self.module, self.found, dict(self.env) if is_local else {}, is_staged=self.is_staged, omni=self.omni,
            depth=self.depth + 1, record=False,
        )  # fmt: skip
        cache[key] = found = walk.function(function, ((values, named),))
        return found

    def method(self, func: ast.Attribute, level: Level, node: ast.Call) -> Value:
        """Returns what a method of a traced value gives."""
        name = func.attr
        if level >= TREE and name == "astype" and node.args and _last(node.args[0]) in ("bool", "bool_"):
            return MASK
        if level >= TREE and name == "nonzero":
            return SEQUENCE
        if is_array(level):
            if name in ("item", "tolist", "keys"):
                return PLAIN
            return ARRAY if name in ARRAY_METHODS or name in ("add", "get", "min", "max") else PLAIN
        if level == TREE:
            if name in ("get", "pop"):
                return TREE if len(node.args) == 1 and not node.keywords else PLAIN
            if name in TREE_METHODS or name == "copy":
                return TREE
            if name in ("values", "items"):
                return PLAIN
            return ARRAY if name in ARRAY_METHODS and name not in ("apply", "set", "add") else PLAIN
        if level == SEQUENCE and name in ("pop", "copy"):
            return TREE if name == "pop" else SEQUENCE
        return PLAIN


_EXPRESSIONS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Name: _Walk.name,
    ast.Constant: _Walk.constant,
    ast.Attribute: _Walk.attribute,
    ast.Subscript: _Walk.subscript,
    ast.Slice: _Walk.slice,
    ast.Tuple: _Walk.sequence,
    ast.List: _Walk.sequence,
    ast.Starred: _Walk.starred,
    ast.Dict: _Walk.dictionary,
    ast.BinOp: _Walk.operation,
    ast.UnaryOp: _Walk.unary,
    ast.BoolOp: _Walk.boolean,
    ast.Compare: _Walk.comparison,
    ast.IfExp: _Walk.conditional,
    ast.NamedExpr: _Walk.walrus,
    ast.ListComp: _Walk.comprehension,
    ast.SetComp: _Walk.comprehension,
    ast.GeneratorExp: _Walk.comprehension,
    ast.DictComp: _Walk.comprehension,
    ast.Lambda: _Walk.anonymous,
    ast.Call: _Walk.call,
}

PYTREE_BASES = {"typing.NamedTuple", "flax.struct.PyTreeNode", "equinox.Module", "typing_extensions.NamedTuple"}
PYTREE_DECORATORS = {
    "flax.struct.dataclass", "chex.dataclass", "jax.tree_util.register_dataclass",
    "jax.tree_util.register_pytree_node_class",
    "jax.tree_util.register_static", "chex.mappable_dataclass", "jax_dataclasses.pytree_dataclass",
    "jax.tree_util.register_pytree_with_keys_class", "tjax.dataclasses.dataclass", "flax.nnx.dataclass",
    "flax.nnx.register_data_type", "simple_pytree.dataclass",
}  # fmt: skip


def is_pytree(module: Module, owner: ast.ClassDef) -> bool:
    """Returns whether a class of this file is a tree of arrays for JAX, by a base or a decorator that says so."""
    if module.bases(owner) & PYTREE_BASES:
        return True
    for each in owner.decorator_list:
        name = module.dotted(each)
        if name is None and isinstance(each, ast.Call):
            name = module.dotted(each.func)
            if name in ("functools.partial",) and each.args:
                name = module.dotted(each.args[0])
        if name in PYTREE_DECORATORS:
            return True
    return False


def called_directly(module: Module) -> set[Function]:
    """Returns the traced functions that are also called by their names outside of any trace."""
    return module.shared("called directly", _called_directly)


def _called_directly(module: Module) -> set[Function]:
    known = traced(module)
    names = {each.name for each in known.of if not isinstance(each, ast.Lambda) and not each.decorator_list}
    found: set[Function] = set()
    for call in module.nodes(ast.Call) if names else ():
        func = call.func
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else None
        if name in names:
            definition = module.definition(func)
            if isinstance(definition, FUNCTIONS) and definition in known.of and not transforms_around(module, call):
                found.add(definition)
    return found


def _is_partial(module: Module, transforms: list[Transform]) -> bool:
    """Returns whether what is traced is made by `partial`, which gives what is meant to be static."""
    for each in transforms:
        given = function_given(module, each.call) if isinstance(each.call, ast.Call) else None
        if given is None or module.called(module.value(given)) not in PARTIAL:
            return False
    return True


def _is_passed(module: Module, function: Function, name: str, place: int, unseen: bool) -> bool:
    """Returns whether a call of this file may give a parameter that has a default; `unseen` where there is none."""
    if isinstance(function, ast.Lambda):
        return True
    calls: list[ast.Call] = module.shared("calls by name", _calls_by_name).get(function.name, [])
    if isinstance(module.parents.get(function), ast.ClassDef):
        place -= 1
    if not calls:
        return unseen
    return any(
        place < len(each.args)
        or any(isinstance(one, ast.Starred) for one in each.args)
        or any(one.arg in (None, name) for one in each.keywords)
        for each in calls
    )


def _calls_by_name(module: Module) -> dict[str, list[ast.Call]]:
    found: dict[str, list[ast.Call]] = {}
    for each in module.nodes(ast.Call):
        last = _last(each.func)
        if last is not None:
            found.setdefault(last, []).append(each)
    return found


def arguments_of(call: ast.Call) -> Iterator[ast.expr]:
    """Yields the arguments of a call."""
    yield from (each.value if isinstance(each, ast.Starred) else each for each in call.args)
    yield from (each.value for each in call.keywords)


def _merged(one: Env, other: Env, how: Callable[[Value, Value], Value]) -> Env:
    if one == other:
        return one
    found: Env = {}
    for name in one.keys() | other.keys():
        if name in one and name in other:
            found[name] = how(one[name], other[name])
        else:
            found[name] = one[name] if name in one else other[name]  # bound in one of them only
    return found


def _names_tested_for_kind(module: Module, test: ast.expr) -> list[str]:
    """Returns the names whose kind a test asks for, with `isinstance` and the like."""
    if not isinstance(test, ast.Call | ast.BoolOp | ast.UnaryOp | ast.Compare):
        return []
    found: list[str] = []
    for each in ast.walk(test):
        if isinstance(each, ast.Call) and each.args:
            name = module.dotted(each.func) or ""
            if name in TESTS_OF_KIND or "concrete" in name:
                found += [one.id for one in ast.walk(each.args[0]) if isinstance(one, ast.Name)] or ["?"]
    return found


def _binds(node: ast.AST, name: str) -> bool:
    names = (each for each in ast.walk(node) if isinstance(each, ast.Name) and each.id == name)
    return any(isinstance(each.ctx, ast.Store) for each in names)


def _yields(module: Module, function: Function) -> bool:
    owners: set[ast.AST | None] = module.shared(
        "generators", lambda module: {module.function(each) for each in module.nodes(ast.Yield, ast.YieldFrom)}
    )
    return function in owners


def _is_static_method(module: Module, function: Function) -> bool:
    return not isinstance(function, ast.Lambda) and any(
        module.dotted(each) == "builtins.staticmethod" for each in function.decorator_list
    )


def _is_array_type(module: Module, node: ast.expr | None) -> bool:
    if isinstance(node, ast.Subscript):
        return _last(node.value) in ARRAY_TYPES
    return _last(node) in ARRAY_TYPES and _last(node) not in ("ArrayLike", "Scalar")


def _last(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        base = _path(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else None


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_strings(node: ast.AST) -> bool:
    return isinstance(node, ast.Tuple | ast.List | ast.Set) and bool(node.elts) and all(map(_is_string, node.elts))


def _is_number(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
