"""The generator of a step's noise: see `verax.jaxpr._threefry`, where whatever applies a network can reach it."""

from verax.jaxpr._threefry import straight_threefry

__all__ = ["straight_threefry"]
