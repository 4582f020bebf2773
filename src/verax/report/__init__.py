"""A certificate and its run as text for people and machines: HTML, Markdown, JUnit (JSON is `Certificate.to_json`); a
study as a page and a table; a run for TensorBoard, Weights & Biases and MLflow."""

from verax.report._drawings import figures
from verax.report._html import html
from verax.report._junit import junit
from verax.report._markdown import markdown
from verax.report._material import augmented_examples
from verax.report._study import is_study, study_csv, study_html, write_study_report
from verax.report._writers_mlflow import mlflow
from verax.report._writers_tensorboard import tensorboard
from verax.report._writers_wandb import wandb

__all__ = [
    "html",
    "markdown",
    "junit",
    "figures",
    "augmented_examples",
    "write_study_report",
    "study_html",
    "study_csv",
    "is_study",
    "tensorboard",
    "wandb",
    "mlflow",
]
