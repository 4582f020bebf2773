"""Values in, Matplotlib axes out.

    vx.plot.training_curves(run.history).figure             # a notebook shows it
    vx.plot.reliability_diagram(evaluation.calibration, ax=ax)

Nothing is saved or shown, and without `ax` each picture gets a figure of its own.
"""

from verax.plot._calibration import coverage, reliability_diagram
from verax.plot._canvas import PALETTE
from verax.plot._confusion import confusion_matrix
from verax.plot._curves import training_curves
from verax.plot._pictures import Mistakes, draw_mistakes, find_mistakes, png, worst_mistakes
from verax.plot._regression import predicted_against_true, residuals
from verax.plot._save import save_figures
from verax.plot._svg import svg

__all__ = [
    "training_curves",
    "confusion_matrix",
    "reliability_diagram",
    "predicted_against_true",
    "residuals",
    "coverage",
    "worst_mistakes",
    "Mistakes",
    "find_mistakes",
    "draw_mistakes",
    "png",
    "save_figures",
    "svg",
    "PALETTE",
]
