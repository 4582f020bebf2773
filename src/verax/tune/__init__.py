"""Search over hyperparameters: every combination of a grid, chosen by validation, the winner retrained."""

from verax._modules import make_callable
from verax.tune._study import Study, Trial, search, trials

__all__ = ["Study", "Trial", "search", "trials"]

make_callable(__name__, search)
