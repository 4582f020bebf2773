"""VX306: to read a number is to wait for the device."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from verax.lint._jitted import jitted
from verax.lint._module import LOOPS, Module
from verax.lint._mutation import in_test
from verax.lint._rule import Found, rule

STEP = re.compile(
    r"(^|_)(train|update|training)?_?step(_fn|_jit|_p?mapped)?$|^(update|train)(_fn|_jit)?$|^p_train_step$"
)
EVALUATION = re.compile(r"eval|test|valid|predict|sample|generate|infer|bench|env|rollout|record|render|play|simulat")
NUMBERS = {"builtins.float", "builtins.int", "numpy.asarray", "numpy.array", "jax.device_get", "builtins.bool"}
METHODS = {"item", "tolist", "block_until_ready"}


@rule("VX306", "host-sync-in-loop", "note")
def host_sync_in_loop(module: Module) -> Iterator[Found]:
    """The result of a training step becomes a Python number in every pass of the loop.

    JAX returns before the device is done, so Python can prepare the next step meanwhile. `float(loss)`, `loss.item()`
    and `np.asarray(loss)` wait for the number, and the device idles until the next step arrives.

    Bad:

        for batch in batches:
            state, loss = train_step(state, batch)
            history.append(float(loss))

    Good:

        for batch in batches:
            state, loss = train_step(state, batch)
            history.append(loss)
        history = [float(loss) for loss in history]

    There is no fix. Under an `if` (every hundred steps), after the loop, and in evaluation it is fine. A step is a
    function that is jitted in this file, or one whose name says so.
    """
    for node in module.nodes(ast.Call):
        value = _waited_for(module, node)
        if value is None:
            continue
        loop = module.loop(node)
        if not isinstance(loop, LOOPS) or in_test(module, node) or _is_sometimes(module, node, loop):
            continue
        function = module.function(node)
        if isinstance(function, ast.FunctionDef) and EVALUATION.search(function.name):
            continue
        made = _results(module, loop)
        name = next((each for each in ast.walk(value) if isinstance(each, ast.Name) and each.id in made), None)
        if name is not None and (name.lineno, name.col_offset) > made[name.id][1]:
            step = made[name.id][0]
            message = f"this waits for `{name.id}` of {step} in every pass, so the device idles. Keep it an array here."
            yield Found(node, message)


def _waited_for(module: Module, node: ast.Call) -> ast.expr | None:
    func = node.func
    if isinstance(func, ast.Attribute) and func.attr in ("item", "tolist") and not node.args:
        return func.value
    if len(node.args) == 1 and isinstance(func, ast.Name | ast.Attribute) and module.dotted(func) in NUMBERS:
        return node.args[0]
    return None


def _is_sometimes(module: Module, node: ast.AST, loop: ast.AST) -> bool:
    child = node
    for each in module.around(node):
        if each is loop:
            return False
        if isinstance(each, ast.If | ast.IfExp) and child is not each.test:
            return True
        if isinstance(each, ast.Try | ast.Match):
            return True
        child = each
    return False


def _results(module: Module, loop: ast.For | ast.AsyncFor | ast.While) -> dict[str, tuple[str, tuple[int, int]]]:
    """Returns the names that a loop binds to results of a step in every pass, with the step and where that ends."""
    cache: dict[ast.AST, dict[str, tuple[str, tuple[int, int]]]] = module.shared("steps in loops", lambda module: {})
    if loop in cache:
        return cache[loop]
    found = cache[loop] = {}
    for statement in loop.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
            continue
        func = statement.value.func
        last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if not last or EVALUATION.search(last) or module.dotted(func) is not None:
            continue
        made = module.value(func)
        if isinstance(made, ast.Call) and any(EVALUATION.search(ast.unparse(each)) for each in made.args[:1]):
            continue  # jit(env.step)
        is_self = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id != "self"
        if jitted(module, func) is None and (is_self or not STEP.search(last)):
            continue
        carried = {each.id for one in statement.value.args for each in ast.walk(one) if isinstance(each, ast.Name)}
        names = [each.id for target in statement.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        if not carried & (set(names) | _made_of(loop, statement, set(names))) and not re.search("train|update", last):
            continue  # nothing goes on to the next pass: no training
        end = (statement.end_lineno or 0, statement.end_col_offset or 0)
        found |= dict.fromkeys(names, (last, end))
    return found


def _made_of(loop: ast.For | ast.AsyncFor | ast.While, step: ast.stmt, names: set[str]) -> set[str]:
    """Returns the names that statements of a loop after a step bind to what is made of its results."""
    known, found = set(names), set[str]()
    for each in loop.body[loop.body.index(step) + 1 :]:
        if isinstance(each, ast.Assign | ast.AugAssign):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            if any(isinstance(one, ast.Name) and one.id in known for one in ast.walk(each.value)):
                found |= {one.id for to in targets for one in ast.walk(to) if isinstance(one, ast.Name)}
                known |= found
    return found
