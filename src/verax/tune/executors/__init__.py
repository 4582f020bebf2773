"""Where tasks are run: in this process, in others beside it, or on a cluster."""

from verax.tune.executors._choose import Executor, executor_of
from verax.tune.executors._local import Local
from verax.tune.executors._processes import Processes
from verax.tune.executors._ray import Ray

__all__ = ["Executor", "Local", "Processes", "Ray", "executor_of"]
