"""Functions of which all is seen, so that it is known that they compute the same once they are compiled."""

from __future__ import annotations

import ast

from verax.lint._module import Module, has_stars
from verax.lint._optimizers import update_of
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._traced import EAGER

# Functions whose arguments may all be traced, and those of which only the first may be.
ELEMENTWISE = {
    *(f"jax.numpy.{name}" for name in (
        "abs", "add", "cos", "divide", "dot", "exp", "log", "log1p", "matmul", "maximum", "minimum", "multiply",
        "power", "sin", "sqrt", "square", "subtract", "tanh", "where", "zeros_like", "ones_like",
    )),
    *(f"optax.{name}" for name in (
        "apply_updates", "global_norm", "l2_loss", "sigmoid_binary_cross_entropy", "softmax_cross_entropy",
        "softmax_cross_entropy_with_integer_labels", "squared_error",
    )),
    "jax.lax.stop_gradient", "jax.nn.relu", "jax.nn.sigmoid", "jax.nn.softplus", "jax.nn.tanh",
}  # fmt: skip
REDUCTIONS = {
    *(f"jax.numpy.{name}" for name in ("max", "mean", "min", "ravel", "std", "sum", "var", "linalg.norm")),
    *(f"jax.nn.{name}" for name in ("gelu", "log_softmax", "one_hot", "silu", "softmax")),
}  # fmt: skip
MAPS = {"jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map"}
TREES = {"optax.apply_updates", "optax.global_norm"}
METHODS = ("max", "mean", "min", "ravel", "std", "sum", "var")
PARTS = ("T", "ndim", "shape", "size")
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def is_compilable(module: Module, function: ast.FunctionDef) -> bool:
    """Returns whether `jit` around a function surely leaves what it computes, but for the rounding.

    All that it does is arithmetic, gradients and updates that are known, on parameters that are seen to be arrays, or
    trees that are differentiated or belong to an optimizer. What it takes from outside never changes.
    """
    if function.decorator_list or module.loop(function) is not None:
        return False
    seen = _Seen(module)
    return seen.is_known(function) and all(seen.shows(function, each.arg) for each in function.args.args)


class _Seen:
    def __init__(self, module: Module):
        self.module = module
        self.known: dict[ast.AST, bool] = {}

    # What a function does.

    def is_known(self, function: Function) -> bool:
        """Returns whether all that a function does is known to be the same in a compiled program."""
        if function not in self.known:
            self.known[function] = False  # a recursion is not
            given = function.args
            plain = not (given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs or given.defaults)
            body = [function.body] if isinstance(function, ast.Lambda) else function.body
            self.known[function] = plain and all(self.is_fine(each) for each in body)
        return self.known[function]

    def is_fine(self, node: ast.AST | None) -> bool:
        """Returns whether a statement or expression is known."""
        match node:
            case None | ast.Constant():
                return True
            case ast.Name():
                return self.is_name(node)
            case ast.Expr(value=ast.Constant(value=str())):
                return True
            case ast.Return(value=value) | ast.UnaryOp(op=ast.USub(), operand=value):
                return self.is_fine(value)
            case ast.Assign(targets=targets, value=value):
                return self.is_fine(value) and all(_is_names(each) for each in targets)
            case ast.AugAssign(target=ast.Name() as target, value=value):
                is_own = all(each.kind != "param" for each in self.module.bindings(target))
                return is_own and self.is_fine(value)  # NumPy changes the array that a caller gave
            case ast.FunctionDef(decorator_list=[]):
                return self.is_known(node)
            case ast.BinOp(left=left, right=right):
                return self.is_fine(left) and self.is_fine(right)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return isinstance(operator, COMPARISONS) and self.is_fine(left) and self.is_fine(right)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return all(self.is_fine(each) for each in parts)
            case ast.Subscript(value=value, slice=ast.Constant()):
                return self.is_fine(value)
            case ast.Attribute(value=value, attr=name):
                return name in PARTS and self.module.dotted(node) is None and self.is_fine(value)
            case ast.Call():
                return not has_stars(node) and self.is_call(node)
        return False

    def is_name(self, node: ast.Name) -> bool:
        """Returns whether a name is one of the function, or a number from outside that stays what it is."""
        scope = self.module.scope_of(node)
        if scope is not None and scope.node in self.known:
            return all(each.kind in ("assign", "augmented", "param") for each in scope.bindings[node.id])
        value = self.once(node)
        return isinstance(value, ast.Constant) and isinstance(value.value, int | float)

    def is_call(self, node: ast.Call) -> bool:
        """Returns whether a call is known, and what it is given."""
        given = [*node.args, *(each.value for each in node.keywords)]
        name = self.module.dotted(node.func)
        if name in ELEMENTWISE:
            is_sized = name != "jax.numpy.where" or len(given) == 3
            return is_sized and all(self.is_fine(each) for each in given)
        if name in REDUCTIONS:
            return self.is_fine(given[0] if given else None) and all(_is_constant(each) for each in given[1:])
        if name in MAPS:
            mapped = self.module.definition(node.args[0]) if node.args else None
            return (
                isinstance(mapped, FUNCTIONS)
                and self.is_known(mapped)
                and all(self.is_fine(each) for each in given[1:])
            )
        if name is None and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            return self.is_fine(node.func.value) and all(_is_constant(each) for each in given)
        optimizer = update_of(self.module, node)
        if optimizer is not None:
            return self.is_optimizer(optimizer) and all(self.is_fine(each) for each in given)
        called = self.called(node)
        return called is not None and self.is_known(called) and all(self.is_fine(each) for each in given)

    def is_optimizer(self, node: ast.expr) -> bool:
        """Returns whether an optimizer is one of Optax, with numbers that stay what they are."""
        made = self.once(node)
        if not isinstance(made, ast.Call) or not (self.module.dotted(made.func) or "").startswith("optax."):
            return False
        given = [*made.args, *(each.value for each in made.keywords)]
        return not has_stars(made) and all(
            isinstance(each, ast.Constant)
            or (isinstance(each, ast.Name) and self.is_name(each))
            or self.is_optimizer(each)
            for each in given
        )

    def once(self, node: ast.expr | None) -> ast.expr | None:
        """Returns what a name is bound to, if it is so once; else the node itself."""
        if not isinstance(node, ast.Name):
            return node
        bound = self.module.bindings(node)
        is_one = len(bound) == 1 and bound[0].kind == "assign" and bound[0].path == ()
        return bound[0].value if is_one and self.module.loop(bound[0].node) is None else node

    def called(self, node: ast.Call) -> Function | None:
        """Returns the function of this file that a call runs, by itself or for its gradient."""
        made = self.gradient(node)
        found = self.module.definition(made.args[0] if made is not None else node.func)
        return found if isinstance(found, FUNCTIONS) and not getattr(found, "decorator_list", ()) else None

    def gradient(self, node: ast.Call) -> ast.Call | None:
        """Returns the call of `grad` whose result is called."""
        func = self.once(node.func)
        if not isinstance(func, ast.Call) or self.module.dotted(func.func) not in EAGER or len(func.args) != 1:
            return None
        options = {each.arg: each.value for each in func.keywords}
        return func if set(options) <= {"has_aux"} and all(_is_constant(each) for each in options.values()) else None

    # What a parameter is.

    def shows(self, function: Function, name: str, depth: int = 0) -> bool:
        """Returns whether a parameter is certainly an array, or a tree of them."""
        bindings = self.module.opened[function].bindings[name]
        if depth > 4:
            return False
        for node in ast.walk(function):
            if not isinstance(node, ast.Name) or node.id != name or not isinstance(node.ctx, ast.Load):
                continue
            if self.module.bindings(node) is bindings and self.shown_by(node, depth):
                return True
        return False

    def shown_by(self, node: ast.Name, depth: int) -> bool:
        """Returns whether the place where a name is read shows that it is an array, or a tree of them."""
        around = self.module.parents[node]
        if isinstance(around, ast.BinOp):
            other = around.right if around.left is node else around.left
            return isinstance(around.op, ast.MatMult) or self.is_array(other)  # what an array takes is one, or a number
        if isinstance(around, ast.Assign) and around.value is node:
            target = around.targets[0]
            function = self.module.function(node)
            return (
                function is not None
                and isinstance(target, ast.Tuple)
                and len(around.targets) == 1
                and all(isinstance(each, ast.Name) and self.shows(function, each.id, depth + 1) for each in target.elts)
            )
        if not isinstance(around, ast.Call) or node not in around.args:
            return False
        place = around.args.index(node)
        name = self.module.dotted(around.func)
        if name in REDUCTIONS:
            return place == 0
        if name in ELEMENTWISE:
            return name not in TREES
        if update_of(self.module, around) is not None:
            return place == 1
        called = self.called(around)
        if called is None:
            return False
        if self.gradient(around) is not None and place == 0:
            return True
        names = [each.arg for each in called.args.args]
        return place < len(names) and self.shows(called, names[place], depth + 1)

    def is_array(self, node: ast.expr) -> bool:
        """Returns whether an expression is certainly an array."""
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.MatMult) or self.is_array(node.left) or self.is_array(node.right)
        return self.module.called(node) in (ELEMENTWISE | REDUCTIONS) - TREES


def _is_names(node: ast.expr) -> bool:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return all(isinstance(each, ast.Name) for each in parts)


def _is_constant(node: ast.expr) -> bool:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    parts = [each.operand if isinstance(each, ast.UnaryOp) else each for each in parts]
    return all(isinstance(each, ast.Constant) for each in parts)
