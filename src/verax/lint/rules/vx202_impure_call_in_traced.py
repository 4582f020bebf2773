"""VX202: what reads or writes the world while JAX traces happens once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._mutation import effects_around, is_free
from verax.lint._rule import Found, rule
from verax.lint._scopes import Function
from verax.lint._taint import taint
from verax.lint._taint_syntax import arguments_of

CLOCKS = {
    "time.time", "time.perf_counter", "time.monotonic", "time.process_time", "time.time_ns", "time.perf_counter_ns",
    "time.monotonic_ns", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today", "time.sleep",
    "timeit.default_timer", "time.strftime", "time.ctime",
}  # fmt: skip
FILES = {
    "builtins.open", "builtins.input", "numpy.load", "numpy.save", "numpy.savez", "numpy.savetxt", "numpy.loadtxt",
    "jax.numpy.load", "jax.numpy.save", "jax.numpy.savez", "pickle.load", "pickle.dump", "json.load", "json.dump",
    "sys.stdout.write", "sys.stderr.write", "subprocess.run", "os.system", "pandas.read_csv", "joblib.load",
    "joblib.dump", "requests.get", "requests.post", "urllib.request.urlopen", "uuid.uuid4", "os.urandom",
    "secrets.token_bytes", "numpy.genfromtxt", "torch.load", "torch.save", "subprocess.check_output",
    "subprocess.Popen", "pprint.pprint", "pprint.pp", "rich.print", "builtins.breakpoint",
}  # fmt: skip
LOGS = ("logging.", "absl.logging.", "loguru.logger.", "structlog.")
LOGGERS = {"logging.getLogger", "absl.logging.get_absl_logger", "structlog.get_logger"}
LOG_METHODS = {"debug", "info", "warning", "warn", "error", "critical", "exception", "log"}
DRAWS = (
    "wandb.",
    "matplotlib.pyplot.",
    "mlflow.",
    "neptune.",
    "comet_ml.",
    "seaborn.",
    "clearml.",
    "tensorflow.summary.",
)
WRITERS = ("SummaryWriter", "MetricWriter", "create_file_writer", "create_default_writer")


@rule("VX202", "impure-call-in-traced", "warning")
def impure_call_in_traced(module: Module) -> Iterator[Found]:
    """A clock, a file, a logger, a plot or the next element of an outer iterator in a function that JAX traces.

    Python runs once, while JAX traces: the time is that of tracing and becomes a constant, the file is read once, the
    iterator gives one batch that all later calls use, and what is logged are tracers.

    Bad:

        @jax.jit
        def step(params):
            batch = next(batches)
            return update(params, batch)

    Good:

        for batch in batches:
            params = step(params, batch)

    Logging without traced values (a shape, a text) is a note: it tells when a function is traced. There is no fix. What
    runs in `jax.debug.callback`, `jax.pure_callback` or `io_callback` runs on the host and is left alone.
    """
    for node in module.nodes(ast.Call):
        what = _what(module, node)
        if what is None:
            continue
        around = effects_around(module, node)
        if not around:
            continue
        how = around[0][1].name.rpartition(".")[2]
        if what == "next":
            if _is_outer(module, node.args[0], around[0][0]):
                source = module.source(node.args[0])
                message = (
                    f"next({source}) runs once, while {how} traces: each call gets the same. Pass it as an argument."
                )
                yield Found(node, message)
            continue
        name = module.source(node.func)
        if what == "clock":
            yield Found(node, f"{name} runs once, while {how} traces, and its result is a constant. Measure outside.")
        elif what == "log" and not any(_holds_traced(module, each) for each in arguments_of(node)):
            yield Found(node, f"{name} runs only while {how} traces the function, not at every call.", level="note")
        elif what == "log":
            message = f"{name} runs once, while {how} traces, and gets tracers. Use jax.debug.callback, or return it."
            yield Found(node, message)
        else:
            yield Found(node, f"{name} runs once, while {how} traces the function. Do it outside, or in a callback.")


def _what(module: Module, node: ast.Call) -> str | None:
    name = module.dotted(node.func)
    if name is not None:
        if name == "builtins.next":
            return "next" if node.args and isinstance(node.args[0], ast.Name | ast.Attribute) else None
        if name in CLOCKS:
            return "clock"
        if name in FILES:
            return "file"
        if name.startswith(LOGS):
            return "log" if name.rpartition(".")[2] in LOG_METHODS else None
        return "log" if name.startswith(DRAWS) else None
    func = node.func
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
        is_log = func.attr in LOG_METHODS
        if is_log or func.attr.startswith(("add_", "write_", "log_")):
            value = module.value(func.value)
            called = module.called(value) or ""
            return "log" if (is_log and called in LOGGERS) or called.endswith(WRITERS) else None
    return None


def _is_outer(module: Module, node: ast.expr, function: Function) -> bool:
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "self"
    return isinstance(node, ast.Name) and is_free(module, node, function)


def _holds_traced(module: Module, node: ast.expr) -> bool:
    known = taint(module)
    if known.anywhere(node):
        return True
    if isinstance(node, ast.JoinedStr):
        return any(_holds_traced(module, each.value) for each in node.values if isinstance(each, ast.FormattedValue))
    if isinstance(node, ast.Dict):
        return any(_holds_traced(module, each) for each in node.values)
    if isinstance(node, ast.BinOp):
        return _holds_traced(module, node.left) or _holds_traced(module, node.right)
    if isinstance(node, ast.Tuple | ast.List):
        return any(_holds_traced(module, each) for each in node.elts)
    return isinstance(node, ast.Call) and any(_holds_traced(module, each) for each in arguments_of(node))
