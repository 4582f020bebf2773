"""Where tasks are run: in this process, in others beside it, or on a cluster."""

from verax.tune.executors._choose import Executor, executor_of
from verax.tune.executors._local import Local

__all__ = ["Executor", "Local", "executor_of"]
