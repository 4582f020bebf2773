"""What statements do to what names hold: branches, loops, and ways that part and meet."""

from __future__ import annotations

import ast
from collections.abc import Callable

from verax.lint._taint_expressions import Expressions
from verax.lint._taint_levels import PLAIN, SEQUENCE, TREE, either, flat, join, merged
from verax.lint._taint_syntax import binds, names_tested_for_kind

TRACER_ERRORS = ("Tracer", "Concret", "Exception", "TypeError")


class Statements(Expressions):
    """A run that goes through statements."""

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
            for name in names_tested_for_kind(self.module, node.test):
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
        tested = names_tested_for_kind(self.module, node.test)
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
            self.env = merged(after, self.env, join)
        elif reached:
            self.env = after
        if reached and reached_else:
            for name, value in kept.items():
                if self.env.get(name) == PLAIN and not binds(node, name):
                    self.env[name] = value
        return reached or reached_else

    def run_loop(self, body: list[ast.stmt], start: Callable[[], object]) -> None:
        self.loops += 1
        for _ in range(2 if self.loops < 4 else 1):
            before = dict(self.env)
            start()
            self.body(body)
            self.env = merged(before, self.env, either)
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
                after = merged(after, self.env, join) if reached else self.env
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
                after = self.env if after is None else merged(after, self.env, join)
        if not is_whole:
            after = before if after is None else merged(after, before, join)
        self.env = before if after is None else after
        return after is not None
