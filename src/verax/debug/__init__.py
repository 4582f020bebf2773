"""What is wrong with a network, its gradients and its training, measured."""

from verax.debug._describe import Description, LeafDescription, describe
from verax.debug._differences import numerical_gradient
from verax.debug._gradient_experiment import check_experiment_gradients, mean_loss
from verax.debug._gradient_report import GradientReport, LeafGradient, RuleGradient, Worst
from verax.debug._gradients import assert_gradients, check_gradients, make_gradient_check
from verax.debug._health import GradientHealth, LeafHealth, gradient_health, leaf_statistics
from verax.debug._overfit import EXCESS, EXPLAINED, OverfitResult, overfit_batch
from verax.debug._profile import profile
from verax.debug._profile_result import Profile
from verax.debug._show import Shown, ShownLeaf, show

__all__ = [
    "check_gradients",
    "assert_gradients",
    "make_gradient_check",
    "check_experiment_gradients",
    "mean_loss",
    "numerical_gradient",
    "GradientReport",
    "LeafGradient",
    "RuleGradient",
    "Worst",
    "gradient_health",
    "leaf_statistics",
    "GradientHealth",
    "LeafHealth",
    "overfit_batch",
    "OverfitResult",
    "EXCESS",
    "EXPLAINED",
    "describe",
    "Description",
    "LeafDescription",
    "profile",
    "Profile",
    "show",
    "Shown",
    "ShownLeaf",
]
