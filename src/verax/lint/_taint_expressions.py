"""What expressions are, by what is known of their parts."""

from __future__ import annotations

import ast
from collections.abc import Callable

from verax.lint._taint_calls import Calls
from verax.lint._taint_levels import ARRAY, FLAG, MASK, PLAIN, SEQUENCE, TREE, Level, Value, flat, is_array, join
from verax.lint._taint_names import ARRAY_ATTRIBUTES, LEAVES, STATIC_ATTRIBUTES
from verax.lint._taint_params import fields_of
from verax.lint._taint_syntax import is_none, is_number, is_string, is_strings, names_tested_for_kind, path_of


class Expressions(Calls):
    """A run that evaluates expressions."""

    def value(self, node: ast.expr) -> Value:
        """Returns what an expression is, and notes it."""
        method = _EXPRESSIONS.get(type(node))
        found = method(self, node) if method is not None else self.others(node)
        if self.record and found != PLAIN:
            self.note(node, found)
        return found

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
        path = path_of(node)
        if path is not None and path in self.env:
            return self.env[path]
        if isinstance(value, ast.ClassDef):
            return fields_of(self.module, value).get(node.attr, PLAIN)
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
        if isinstance(node.op, ast.Mod) and (isinstance(node.left, ast.JoinedStr) or is_string(node.left)):
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
            guarded = guarded or bool(names_tested_for_kind(self.module, each))
        if any(is_array(each) for each in levels):
            return ARRAY
        if FLAG in levels:
            return FLAG
        return TREE if all(each >= SEQUENCE for each in levels) else PLAIN

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
            is_mode = isinstance(left, ast.Name) and first in (FLAG, TREE) and is_strings(right)
            return FLAG if is_mode else PLAIN
        if is_string(left) or is_string(right):
            other, level = (right, second) if is_string(left) else (left, first)
            return FLAG if isinstance(other, ast.Name) and level in (FLAG, TREE) else PLAIN
        if is_none(left) or is_none(right):
            return PLAIN
        if isinstance(one, tuple) or isinstance(two, tuple) or SEQUENCE in (first, second):
            return PLAIN
        if is_array(first) or is_array(second):
            return MASK
        if TREE in (first, second):
            if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                return MASK
            return MASK if is_number(left) or is_number(right) or first == second else PLAIN
        return FLAG if FLAG in (first, second) else PLAIN

    def conditional(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        if names_tested_for_kind(self.module, node.test):
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


_EXPRESSIONS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Name: Expressions.name,
    ast.Constant: Expressions.constant,
    ast.Attribute: Expressions.attribute,
    ast.Subscript: Expressions.subscript,
    ast.Slice: Expressions.slice,
    ast.Tuple: Expressions.sequence,
    ast.List: Expressions.sequence,
    ast.Starred: Expressions.starred,
    ast.Dict: Expressions.dictionary,
    ast.BinOp: Expressions.operation,
    ast.UnaryOp: Expressions.unary,
    ast.BoolOp: Expressions.boolean,
    ast.Compare: Expressions.comparison,
    ast.IfExp: Expressions.conditional,
    ast.NamedExpr: Expressions.walrus,
    ast.ListComp: Expressions.comprehension,
    ast.SetComp: Expressions.comprehension,
    ast.GeneratorExp: Expressions.comprehension,
    ast.DictComp: Expressions.comprehension,
    ast.Lambda: Expressions.anonymous,
    ast.Call: Expressions.call,
}
