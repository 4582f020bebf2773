"""Objective, state, step, loop: training as pure functions, and `vx.train`, the loop written once."""

from verax._modules import make_callable
from verax.jaxpr import straight_threefry
from verax.train._answers import answers_on, temperature_on
from verax.train._average import averaged_variables
from verax.train._batches import EpochPlan
from verax.train._cache import enable_compilation_cache
from verax.train._clipping import clip_by_global_norm, read_clipping
from verax.train._decay_table import DecayTable, decay_table
from verax.train._experiment import Experiment, resolve
from verax.train._finder import LearningRates, find_learning_rate
from verax.train._fingerprint import fingerprint
from verax.train._fit import fit, records
from verax.train._folder import (
    environment,
    finding_from_json,
    finding_to_json,
    load_run,
    read_experiment,
    read_history,
    save_run,
)
from verax.train._freeze import frozen_mask
from verax.train._health import Health, health
from verax.train._history import History, Record
from verax.train._initial import first_state, starting_variables
from verax.train._keys import base_key, noise_key, purpose_key
from verax.train._lanes import save_runs, train_lanes
from verax.train._layerwise import decaying_rates, layerwise
from verax.train._loop import chunks, epochs
from verax.train._monitor import monitor
from verax.train._monitored import Monitored, read_monitor
from verax.train._objective import LossValue, Objective, objective_from_loss
from verax.train._objective_tasks import (
    autoencoder,
    binary,
    classification,
    language_model,
    multilabel,
    regression,
)
from verax.train._optimizer import OptimizerFacts, decay_mask, decay_weights_only, probe_optimizer
from verax.train._outcome import process_peak_bytes
from verax.train._precision import Precision, with_precision
from verax.train._program import ChunkData, ChunkRecord, Parts, Program, run_chunk
from verax.train._run import Run
from verax.train._runs import LaneEstimate, LaneScores, LaneSummary, Runs, lane_estimate, score_lanes
from verax.train._saved import load_state, save_state
from verax.train._schedule import (
    ScheduleCurve,
    ScheduleProbe,
    check_schedule,
    probe_schedule,
    schedule_curve,
)
from verax.train._session import Session, prepare
from verax.train._source import SourceFile, read_source
from verax.train._state import LoopState, TrainState
from verax.train._step import StepOptions, StepRecord, make_eval_step, make_train_step, mean_metrics
from verax.train._stopping import EarlyStopping
from verax.train._task import Answers, Confidence, Task
from verax.train._task_regression import target_scale_of
from verax.train._tasks import TASKS, task_of
from verax.train._transfer import Transfer, transfer

__all__ = [
    "Health",
    "Monitored",
    "health",
    "monitor",
    "read_monitor",
    "ScheduleCurve",
    "ScheduleProbe",
    "Transfer",
    "LaneEstimate",
    "LaneScores",
    "LaneSummary",
    "LearningRates",
    "Runs",
    "find_learning_rate",
    "lane_estimate",
    "save_runs",
    "score_lanes",
    "train_lanes",
    "check_schedule",
    "decaying_rates",
    "layerwise",
    "probe_schedule",
    "schedule_curve",
    "transfer",
    "read_source",
    "SourceFile",
    "read_history",
    "read_experiment",
    "load_run",
    "finding_to_json",
    "finding_from_json",
    "environment",
    "averaged_variables",
    "clip_by_global_norm",
    "frozen_mask",
    "read_clipping",
    "with_precision",
    "Precision",
    "StepOptions",
    "ChunkData",
    "ChunkRecord",
    "EarlyStopping",
    "EpochPlan",
    "Experiment",
    "History",
    "LoopState",
    "LossValue",
    "Objective",
    "OptimizerFacts",
    "Parts",
    "Program",
    "Record",
    "Run",
    "Session",
    "StepRecord",
    "TrainState",
    "base_key",
    "binary",
    "chunks",
    "answers_on",
    "temperature_on",
    "autoencoder",
    "classification",
    "language_model",
    "multilabel",
    "Answers",
    "Confidence",
    "Task",
    "TASKS",
    "target_scale_of",
    "task_of",
    "decay_mask",
    "decay_table",
    "DecayTable",
    "decay_weights_only",
    "enable_compilation_cache",
    "epochs",
    "fingerprint",
    "first_state",
    "fit",
    "load_state",
    "make_eval_step",
    "make_train_step",
    "mean_metrics",
    "noise_key",
    "objective_from_loss",
    "prepare",
    "probe_optimizer",
    "process_peak_bytes",
    "purpose_key",
    "records",
    "regression",
    "resolve",
    "run_chunk",
    "save_run",
    "save_state",
    "starting_variables",
    "straight_threefry",
]

make_callable(__name__, fit)
