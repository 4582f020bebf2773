"""What is wrong with a training program, why, and what to change: probes, a training run read, repairs tried."""

from verax.doctor._program import TrainingProgram

__all__ = ["TrainingProgram"]
