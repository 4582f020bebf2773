"""Values in, Matplotlib axes out.

    vx.plot.training_curves(run.history).figure             # a notebook shows it
    vx.plot.reliability_diagram(evaluation.calibration, ax=ax)

Nothing is saved or shown, and without `ax` each picture gets a figure of its own.
"""

from verax.plot._bars import label_bars, slices
from verax.plot._calibration import coverage, reliability_by_label, reliability_diagram
from verax.plot._canvas import PALETTE
from verax.plot._confusion import confusion_matrix
from verax.plot._curves import training_curves
from verax.plot._leaves import gradient_norms, update_ratios
from verax.plot._moments import Mark, find_marks, loss_and_moments
from verax.plot._pairs import augmentation_grid, image_pairs, reconstructions
from verax.plot._parallel import parallel_coordinates
from verax.plot._pictures import Mistakes, draw_mistakes, find_mistakes, png, worst_mistakes
from verax.plot._ranking import precision_recall_curve, roc_curve
from verax.plot._rates import learning_rates, schedule
from verax.plot._regression import predicted_against_true, residuals
from verax.plot._save import save_figures
from verax.plot._seeds import perplexity_curve, seeds
from verax.plot._study import importance_bars, trial_curves, trial_slice
from verax.plot._svg import svg
from verax.plot._units import dead_units

__all__ = [
    "training_curves",
    "perplexity_curve",
    "seeds",
    "schedule",
    "learning_rates",
    "gradient_norms",
    "update_ratios",
    "dead_units",
    "loss_and_moments",
    "Mark",
    "find_marks",
    "confusion_matrix",
    "roc_curve",
    "precision_recall_curve",
    "label_bars",
    "slices",
    "reliability_diagram",
    "reliability_by_label",
    "predicted_against_true",
    "residuals",
    "coverage",
    "parallel_coordinates",
    "trial_slice",
    "trial_curves",
    "importance_bars",
    "worst_mistakes",
    "Mistakes",
    "find_mistakes",
    "draw_mistakes",
    "augmentation_grid",
    "reconstructions",
    "image_pairs",
    "png",
    "save_figures",
    "svg",
    "PALETTE",
]
