"""Predictions, metrics with 95 % intervals, calibration and recalibration: on a network, or on plain arrays."""

from verax._modules import make_callable
from verax.evaluate._baseline import baseline
from verax.evaluate._calibration import Calibration, Reliability, calibration, expected_calibration_error
from verax.evaluate._estimate import Estimate, mean_estimate, proportion_estimate
from verax.evaluate._evaluation import Evaluation
from verax.evaluate._predict import evaluate, predict
from verax.evaluate._predictive import Pit, coverage, pit, residual_scale
from verax.evaluate._regression_calibration import (
    PredictiveCalibration,
    RegressionCalibration,
    predictive_calibration,
    regression_calibration,
)
from verax.evaluate._sampling import ensemble, mc_dropout, sample_outputs
from verax.evaluate._score import score
from verax.evaluate._slices import Gap, Slice, Slices, difference, slices
from verax.evaluate._temperature import apply_temperature, fit_temperature
from verax.evaluate._threshold import Threshold, choose_threshold
from verax.evaluate._tokens import TokenScores, ratio_estimate, token_scores
from verax.evaluate._uncertainty import Predictive, gaussian_log_likelihood, predictive_from_draws

__all__ = [
    "Calibration",
    "Estimate",
    "Evaluation",
    "Gap",
    "Pit",
    "Predictive",
    "PredictiveCalibration",
    "RegressionCalibration",
    "Reliability",
    "Slice",
    "Slices",
    "Threshold",
    "TokenScores",
    "apply_temperature",
    "baseline",
    "calibration",
    "choose_threshold",
    "coverage",
    "difference",
    "ensemble",
    "evaluate",
    "expected_calibration_error",
    "fit_temperature",
    "gaussian_log_likelihood",
    "mc_dropout",
    "mean_estimate",
    "pit",
    "predict",
    "predictive_calibration",
    "predictive_from_draws",
    "proportion_estimate",
    "ratio_estimate",
    "regression_calibration",
    "residual_scale",
    "sample_outputs",
    "score",
    "slices",
    "token_scores",
]

make_callable(__name__, evaluate)
