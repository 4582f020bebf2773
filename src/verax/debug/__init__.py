"""What is wrong with a network, its gradients and its training, measured."""

from verax.debug._activation_result import Activations, LayerActivation
from verax.debug._activations import activations
from verax.debug._check_loss import check_loss
from verax.debug._compilations import Compilations, Program, compilations
from verax.debug._dead_units import DeadUnits, LayerUnits, Weights, dead_units
from verax.debug._describe import Description, LeafDescription, describe
from verax.debug._differences import numerical_gradient
from verax.debug._gradient_experiment import check_experiment_gradients, mean_loss
from verax.debug._gradient_report import GradientReport, LeafGradient, RuleGradient, Worst
from verax.debug._gradients import assert_gradients, check_gradients, make_gradient_check
from verax.debug._health import GradientHealth, LeafHealth, gradient_health, leaf_statistics
from verax.debug._key_reuse import assert_no_key_reuse, key_reuse
from verax.debug._nonfinite import find_nonfinite
from verax.debug._nonfinite_result import NonFinite, Operand
from verax.debug._nonfinite_step import nonfinite_findings
from verax.debug._overfit import EXCESS, EXPLAINED, OverfitResult, overfit_batch
from verax.debug._profile import profile
from verax.debug._profile_result import Profile
from verax.debug._purity import assert_pure, purity
from verax.debug._recompilation import Explained, Trace, assert_max_traces, explain_recompilation
from verax.debug._show import Shown, ShownLeaf, show
from verax.debug._signature import Change

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
    "find_nonfinite",
    "NonFinite",
    "Operand",
    "nonfinite_findings",
    "overfit_batch",
    "OverfitResult",
    "EXCESS",
    "EXPLAINED",
    "check_loss",
    "key_reuse",
    "assert_no_key_reuse",
    "purity",
    "assert_pure",
    "explain_recompilation",
    "assert_max_traces",
    "Explained",
    "Trace",
    "Change",
    "compilations",
    "Compilations",
    "Program",
    "activations",
    "Activations",
    "LayerActivation",
    "dead_units",
    "DeadUnits",
    "LayerUnits",
    "Weights",
    "describe",
    "Description",
    "LeafDescription",
    "profile",
    "Profile",
    "show",
    "Shown",
    "ShownLeaf",
]
