"""Predictions, metrics with 95 % intervals, calibration and recalibration: on a network, or on plain arrays."""

from verax._modules import make_callable
from verax.evaluate._calibration import Calibration, Reliability, calibration, expected_calibration_error
from verax.evaluate._estimate import Estimate, mean_estimate, proportion_estimate
from verax.evaluate._evaluation import Evaluation
from verax.evaluate._predict import evaluate, predict
from verax.evaluate._predictive import Pit, coverage, pit, residual_scale
from verax.evaluate._regression_calibration import (
    PredictiveCalibration,
    RegressionCalibration,
    regression_calibration,
)
from verax.evaluate._score import baseline, score
from verax.evaluate._temperature import apply_temperature, fit_temperature

__all__ = [
    "Calibration",
    "Estimate",
    "Evaluation",
    "Pit",
    "PredictiveCalibration",
    "RegressionCalibration",
    "Reliability",
    "apply_temperature",
    "baseline",
    "calibration",
    "coverage",
    "evaluate",
    "expected_calibration_error",
    "fit_temperature",
    "mean_estimate",
    "pit",
    "predict",
    "proportion_estimate",
    "regression_calibration",
    "residual_scale",
    "score",
]

make_callable(__name__, evaluate)
