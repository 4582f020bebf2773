"""Data: lazy sources, splits, preprocessing that belongs to the model, and a look at it all before any compute."""

from verax.data import augment
from verax.data._arrays import from_arrays, from_npz
from verax.data._batch import Batch, Examples
from verax.data._check import check_data
from verax.data._csv import from_csv
from verax.data._dataset import Dataset
from verax.data._folds import Fold, folds
from verax.data._idx import from_idx
from verax.data._known import digits, fashion_mnist, mnist
from verax.data._load import load
from verax.data._order import epoch_order
from verax.data._preprocess import Preprocessing, Step
from verax.data._schema import Column, Schema
from verax.data._source import Source
from verax.data._steps import impute, one_hot, scale_uint8, standardise
from verax.data._text import TextSource, from_text

__all__ = [
    "Batch",
    "Column",
    "Dataset",
    "Examples",
    "Fold",
    "Preprocessing",
    "Schema",
    "Source",
    "Step",
    "TextSource",
    "augment",
    "check_data",
    "digits",
    "epoch_order",
    "fashion_mnist",
    "folds",
    "from_arrays",
    "from_csv",
    "from_idx",
    "from_npz",
    "from_text",
    "impute",
    "load",
    "mnist",
    "one_hot",
    "scale_uint8",
    "standardise",
]
