"""Static rules over source text; imports neither JAX nor what it checks."""
