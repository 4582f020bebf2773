# Written by `make stub` from __init__.py and the folders' contents pages. Do not edit.

import verax.train as _train
import verax.evaluate as _evaluate
import verax.lint as _lint
import verax.tune as _tune
import verax.certify as _certify
from verax.train._fit import fit as _call_train
from verax.train._fit import Any
from verax.train._fit import Callable
from verax.train._fit import Path
from verax.train._fit import Sequence
from typing import overload
from verax.evaluate._predict import evaluate as _call_evaluate
from verax.lint._engine import lint as _call_lint
from verax.tune._tune import tune as _call_tune
from verax.certify._certify import certify as _call_certify
from verax import network as network
from verax import models as models
from verax import data as data
from verax import debug as debug
from verax import doctor as doctor
from verax import export as export
from verax import report as report
from verax import plot as plot
from verax import findings as findings
from verax import jaxpr as jaxpr
from verax import trees as trees
from verax.network import Network as Network
from verax.network import Variables as Variables
from verax.network import as_network as as_network
from verax.network import from_linen as from_linen
from verax.network import from_nnx as from_nnx
from verax.network import from_haiku as from_haiku
from verax.network import from_equinox as from_equinox
from verax.network import call_with_kwargs as call_with_kwargs
from verax.data import Batch as Batch
from verax.train import Experiment as Experiment
from verax.train import EarlyStopping as EarlyStopping
from verax.train import Objective as Objective
from verax.train import LossValue as LossValue
from verax.train import classification as classification
from verax.train import binary as binary
from verax.train import multilabel as multilabel
from verax.train import regression as regression
from verax.train import language_model as language_model
from verax.train import autoencoder as autoencoder
from verax.train import objective_from_loss as objective_from_loss
from verax.train import decay_mask as decay_mask
from verax.train import decay_table as decay_table
from verax.train import clip_by_global_norm as clip_by_global_norm
from verax.train import monitor as monitor
from verax.train import read_monitor as read_monitor
from verax.train import find_learning_rate as find_learning_rate
from verax.train import TrainState as TrainState
from verax.train import Run as Run
from verax.train import Runs as Runs
from verax.train import History as History
from verax.evaluate import Estimate as Estimate
from verax.evaluate import calibration as calibration
from verax.debug import numerical_gradient as numerical_gradient
from verax.debug import check_gradients as check_gradients
from verax.debug import assert_gradients as assert_gradients
from verax.debug import gradient_health as gradient_health
from verax.debug import find_nonfinite as find_nonfinite
from verax.debug import overfit_batch as overfit_batch
from verax.debug import assert_no_key_reuse as assert_no_key_reuse
from verax.debug import assert_pure as assert_pure
from verax.debug import explain_recompilation as explain_recompilation
from verax.debug import assert_max_traces as assert_max_traces
from verax.debug import describe as describe
from verax.debug import show as show
from verax.debug import profile as profile
from verax.doctor import check as check
from verax.doctor import diagnose as diagnose
from verax.doctor import Diagnosis as Diagnosis
from verax.doctor import TrainingProgram as TrainingProgram
from verax.tune import uniform as uniform
from verax.tune import log_uniform as log_uniform
from verax.tune import int_uniform as int_uniform
from verax.tune import Halving as Halving
from verax.certify import Evidence as Evidence
from verax.certify import Certificate as Certificate
from verax.findings import Finding as Finding
from verax.findings import InputError as InputError

__version__: str

class _Train:
    @overload
    def __call__(self, experiment: Experiment | Callable[..., Experiment], *, out: str | Path | None=None, initial: Any=None, seeds: None=None, folds: None=None, **hyperparameters: Any) -> Run: ...
    @overload
    def __call__(self, experiment: Experiment | Callable[..., Experiment], *, out: str | Path | None=None, initial: Any=None, seeds: int | Sequence[Any], folds: None=None, **hyperparameters: Any) -> Runs: ...
    @overload
    def __call__(self, experiment: Experiment | Callable[..., Experiment], *, out: str | Path | None=None, initial: Any=None, seeds: None=None, folds: int | Sequence[Any], **hyperparameters: Any) -> Runs: ...
    from verax.train import Answers as Answers
    from verax.train import ChunkData as ChunkData
    from verax.train import ChunkRecord as ChunkRecord
    from verax.train import Confidence as Confidence
    from verax.train import DecayTable as DecayTable
    from verax.train import EarlyStopping as EarlyStopping
    from verax.train import EpochPlan as EpochPlan
    from verax.train import Experiment as Experiment
    from verax.train import Health as Health
    from verax.train import History as History
    from verax.train import LaneEstimate as LaneEstimate
    from verax.train import LaneScores as LaneScores
    from verax.train import LaneSummary as LaneSummary
    from verax.train import LearningRates as LearningRates
    from verax.train import LoopState as LoopState
    from verax.train import LossValue as LossValue
    from verax.train import Monitored as Monitored
    from verax.train import Objective as Objective
    from verax.train import OptimizerFacts as OptimizerFacts
    from verax.train import Parts as Parts
    from verax.train import Precision as Precision
    from verax.train import Program as Program
    from verax.train import Record as Record
    from verax.train import Run as Run
    from verax.train import Runs as Runs
    from verax.train import ScheduleCurve as ScheduleCurve
    from verax.train import ScheduleProbe as ScheduleProbe
    from verax.train import Session as Session
    from verax.train import SourceFile as SourceFile
    from verax.train import StepOptions as StepOptions
    from verax.train import StepRecord as StepRecord
    from verax.train import TASKS as TASKS
    from verax.train import Task as Task
    from verax.train import TrainState as TrainState
    from verax.train import Transfer as Transfer
    answers_on = staticmethod(_train.answers_on)
    autoencoder = staticmethod(_train.autoencoder)
    averaged_variables = staticmethod(_train.averaged_variables)
    base_key = staticmethod(_train.base_key)
    binary = staticmethod(_train.binary)
    check_schedule = staticmethod(_train.check_schedule)
    chunks = staticmethod(_train.chunks)
    classification = staticmethod(_train.classification)
    clip_by_global_norm = staticmethod(_train.clip_by_global_norm)
    decay_mask = staticmethod(_train.decay_mask)
    decay_table = staticmethod(_train.decay_table)
    decay_weights_only = staticmethod(_train.decay_weights_only)
    decaying_rates = staticmethod(_train.decaying_rates)
    enable_compilation_cache = staticmethod(_train.enable_compilation_cache)
    environment = staticmethod(_train.environment)
    epochs = staticmethod(_train.epochs)
    find_learning_rate = staticmethod(_train.find_learning_rate)
    finding_from_json = staticmethod(_train.finding_from_json)
    finding_to_json = staticmethod(_train.finding_to_json)
    fingerprint = staticmethod(_train.fingerprint)
    first_state = staticmethod(_train.first_state)
    fit = staticmethod(_train.fit)
    frozen_mask = staticmethod(_train.frozen_mask)
    health = staticmethod(_train.health)
    lane_estimate = staticmethod(_train.lane_estimate)
    language_model = staticmethod(_train.language_model)
    layerwise = staticmethod(_train.layerwise)
    load_run = staticmethod(_train.load_run)
    load_state = staticmethod(_train.load_state)
    make_eval_step = staticmethod(_train.make_eval_step)
    make_train_step = staticmethod(_train.make_train_step)
    mean_metrics = staticmethod(_train.mean_metrics)
    monitor = staticmethod(_train.monitor)
    multilabel = staticmethod(_train.multilabel)
    noise_key = staticmethod(_train.noise_key)
    objective_from_loss = staticmethod(_train.objective_from_loss)
    prepare = staticmethod(_train.prepare)
    probe_optimizer = staticmethod(_train.probe_optimizer)
    probe_schedule = staticmethod(_train.probe_schedule)
    process_peak_bytes = staticmethod(_train.process_peak_bytes)
    purpose_key = staticmethod(_train.purpose_key)
    read_clipping = staticmethod(_train.read_clipping)
    read_experiment = staticmethod(_train.read_experiment)
    read_history = staticmethod(_train.read_history)
    read_monitor = staticmethod(_train.read_monitor)
    read_source = staticmethod(_train.read_source)
    records = staticmethod(_train.records)
    regression = staticmethod(_train.regression)
    resolve = staticmethod(_train.resolve)
    run_chunk = staticmethod(_train.run_chunk)
    save_run = staticmethod(_train.save_run)
    save_runs = staticmethod(_train.save_runs)
    save_state = staticmethod(_train.save_state)
    schedule_curve = staticmethod(_train.schedule_curve)
    score_lanes = staticmethod(_train.score_lanes)
    starting_variables = staticmethod(_train.starting_variables)
    straight_threefry = staticmethod(_train.straight_threefry)
    target_scale_of = staticmethod(_train.target_scale_of)
    task_of = staticmethod(_train.task_of)
    temperature_on = staticmethod(_train.temperature_on)
    train_lanes = staticmethod(_train.train_lanes)
    transfer = staticmethod(_train.transfer)
    with_precision = staticmethod(_train.with_precision)
train: _Train

class _Evaluate:
    __call__ = staticmethod(_call_evaluate)
    from verax.evaluate import Calibration as Calibration
    from verax.evaluate import Estimate as Estimate
    from verax.evaluate import Evaluation as Evaluation
    from verax.evaluate import Gap as Gap
    from verax.evaluate import Pit as Pit
    from verax.evaluate import Predictive as Predictive
    from verax.evaluate import PredictiveCalibration as PredictiveCalibration
    from verax.evaluate import RegressionCalibration as RegressionCalibration
    from verax.evaluate import Reliability as Reliability
    from verax.evaluate import Slice as Slice
    from verax.evaluate import Slices as Slices
    from verax.evaluate import Threshold as Threshold
    from verax.evaluate import TokenScores as TokenScores
    apply_temperature = staticmethod(_evaluate.apply_temperature)
    baseline = staticmethod(_evaluate.baseline)
    calibration = staticmethod(_evaluate.calibration)
    choose_threshold = staticmethod(_evaluate.choose_threshold)
    coverage = staticmethod(_evaluate.coverage)
    difference = staticmethod(_evaluate.difference)
    ensemble = staticmethod(_evaluate.ensemble)
    evaluate = staticmethod(_evaluate.evaluate)
    expected_calibration_error = staticmethod(_evaluate.expected_calibration_error)
    fit_temperature = staticmethod(_evaluate.fit_temperature)
    gaussian_log_likelihood = staticmethod(_evaluate.gaussian_log_likelihood)
    mc_dropout = staticmethod(_evaluate.mc_dropout)
    mean_estimate = staticmethod(_evaluate.mean_estimate)
    pit = staticmethod(_evaluate.pit)
    predict = staticmethod(_evaluate.predict)
    predictive_calibration = staticmethod(_evaluate.predictive_calibration)
    predictive_from_draws = staticmethod(_evaluate.predictive_from_draws)
    proportion_estimate = staticmethod(_evaluate.proportion_estimate)
    ratio_estimate = staticmethod(_evaluate.ratio_estimate)
    regression_calibration = staticmethod(_evaluate.regression_calibration)
    residual_scale = staticmethod(_evaluate.residual_scale)
    sample_outputs = staticmethod(_evaluate.sample_outputs)
    score = staticmethod(_evaluate.score)
    slices = staticmethod(_evaluate.slices)
    token_scores = staticmethod(_evaluate.token_scores)
evaluate: _Evaluate

class _Lint:
    __call__ = staticmethod(_call_lint)
    from verax.lint import Edit as Edit
    from verax.lint import Fix as Fix
    from verax.lint import Report as Report
    from verax.lint import Result as Result
    from verax.lint import Rule as Rule
    from verax.lint import Settings as Settings
    all_rules = staticmethod(_lint.all_rules)
    check_text = staticmethod(_lint.check_text)
    lint = staticmethod(_lint.lint)
    rule_of = staticmethod(_lint.rule_of)
    from verax.lint import rules as rules
lint: _Lint

class _Tune:
    __call__ = staticmethod(_call_tune)
    from verax.tune import Halving as Halving
    from verax.tune import Interval as Interval
    from verax.tune import LaneResult as LaneResult
    from verax.tune import Plan as Plan
    from verax.tune import Study as Study
    from verax.tune import Task as Task
    from verax.tune import TaskResult as TaskResult
    from verax.tune import Trial as Trial
    from verax.tune import Verdict as Verdict
    from verax.tune import Winner as Winner
    events = staticmethod(_tune.events)
    from verax.tune import executors as executors
    int_uniform = staticmethod(_tune.int_uniform)
    log_uniform = staticmethod(_tune.log_uniform)
    tune = staticmethod(_tune.tune)
    uniform = staticmethod(_tune.uniform)
tune: _Tune

class _Certify:
    __call__ = staticmethod(_call_certify)
    from verax.certify import Certificate as Certificate
    from verax.certify import DEFAULTS as DEFAULTS
    from verax.certify import Details as Details
    from verax.certify import Evidence as Evidence
    from verax.certify import ITEMS as ITEMS
    from verax.certify import Outcome as Outcome
    from verax.certify import Overlap as Overlap
    certify = staticmethod(_certify.certify)
    evidence_from_run = staticmethod(_certify.evidence_from_run)
    open_test = staticmethod(_certify.open_test)
    outcomes = staticmethod(_certify.outcomes)
    overlap = staticmethod(_certify.overlap)
certify: _Certify
