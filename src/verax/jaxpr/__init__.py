"""Reading jaxprs, the programs that JAX traces: the same for every network library."""

from verax.jaxpr._casts import Cast, narrowing_casts, narrowing_equations
from verax.jaxpr._cpu import rewritten_for_cpu
from verax.jaxpr._derivatives import OwnDerivative, has_own_derivatives, own_derivatives, without_own
from verax.jaxpr._evaluate import evaluate, run_equation
from verax.jaxpr._float64 import in_float64
from verax.jaxpr._flow import flow
from verax.jaxpr._keys import KeyReuse, key_reuses
from verax.jaxpr._nearest import Near, Nearest, nearest_inputs
from verax.jaxpr._products import float32_products, with_narrow_products
from verax.jaxpr._ranges import Range, output_ranges
from verax.jaxpr._rows import mixing_equations, rows_are_independent
from verax.jaxpr._threefry import straight_threefry
from verax.jaxpr._walk import Equation, Place, equations, first_difference, has_primitive, same_program

__all__ = [
    "rewritten_for_cpu",
    "Cast",
    "Equation",
    "OwnDerivative",
    "Near",
    "Nearest",
    "Place",
    "equations",
    "evaluate",
    "first_difference",
    "float32_products",
    "flow",
    "has_own_derivatives",
    "has_primitive",
    "in_float64",
    "narrowing_casts",
    "narrowing_equations",
    "own_derivatives",
    "KeyReuse",
    "key_reuses",
    "mixing_equations",
    "nearest_inputs",
    "Range",
    "output_ranges",
    "rows_are_independent",
    "run_equation",
    "same_program",
    "straight_threefry",
    "with_narrow_products",
    "without_own",
]
