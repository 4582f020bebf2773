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
from verax.evaluate._score import score
from verax.evaluate._slices import Gap, Slice, Slices, difference, slices
from verax.evaluate._temperature import apply_temperature, fit_temperature
from verax.evaluate._threshold import Threshold, choose_threshold
from verax.evaluate._tokens import TokenScores, ratio_estimate, token_scores

__all__ = [
    "Calibration",
    "Estimate",
    "Evaluation",
    "Gap",
    "Pit",
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
    "evaluate",
    "expected_calibration_error",
    "fit_temperature",
    "mean_estimate",
    "pit",
    "predict",
    "predictive_calibration",
    "proportion_estimate",
    "ratio_estimate",
    "regression_calibration",
    "residual_scale",
    "score",
    "slices",
    "token_scores",
]

make_callable(__name__, evaluate)
