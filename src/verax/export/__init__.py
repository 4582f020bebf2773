"""A trained network as a folder that runs without its source: `model.vx`, from raw inputs to predictions."""

from verax.export._exported import Exported
from verax.export._load import load
from verax.export._measure import FreshProcess, Latency, measure_in_fresh_process
from verax.export._prediction import Prediction
from verax.export._reload import ReloadComparison, compare_reload, reload_outputs_in_process
from verax.export._rows import read_rows
from verax.export._save import save
from verax.export._signature import Signature

__all__ = [
    "save",
    "load",
    "Exported",
    "Signature",
    "Prediction",
    "read_rows",
    "measure_in_fresh_process",
    "FreshProcess",
    "Latency",
    "compare_reload",
    "reload_outputs_in_process",
    "ReloadComparison",
]
