"""Search over hyperparameters: trials that share a program trained together, the winner trained anew."""

from verax._modules import make_callable
from verax.tune._halving import Halving
from verax.tune._plan import Plan
from verax.tune._space import Interval, int_uniform, log_uniform, uniform
from verax.tune._study import Study, Trial, Winner
from verax.tune._task import LaneResult, Task, TaskResult
from verax.tune._trace import Verdict
from verax.tune._tune import events, tune

__all__ = [
    "Halving",
    "Interval",
    "LaneResult",
    "Plan",
    "Study",
    "Task",
    "TaskResult",
    "Trial",
    "Verdict",
    "Winner",
    "events",
    "int_uniform",
    "log_uniform",
    "tune",
    "uniform",
]

make_callable(__name__, tune)
