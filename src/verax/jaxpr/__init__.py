"""Reading jaxprs, the programs that JAX traces: the same for every network library."""

from verax.jaxpr._casts import Cast, narrowing_casts, narrowing_equations
from verax.jaxpr._cpu import rewritten_for_cpu
from verax.jaxpr._keys import KeyReuse, key_reuses
from verax.jaxpr._products import float32_products, with_narrow_products
from verax.jaxpr._rows import rows_are_independent
from verax.jaxpr._threefry import straight_threefry
from verax.jaxpr._walk import Equation, Place, equations, first_difference, has_primitive, same_program

__all__ = [
    "rewritten_for_cpu",
    "Cast",
    "Equation",
    "Place",
    "equations",
    "first_difference",
    "float32_products",
    "has_primitive",
    "KeyReuse",
    "key_reuses",
    "narrowing_casts",
    "narrowing_equations",
    "rows_are_independent",
    "same_program",
    "straight_threefry",
    "with_narrow_products",
]
