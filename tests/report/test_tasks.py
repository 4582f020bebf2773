"""What a page shows of each task, of groups of examples, and of how the network was trained."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.report.conftest import ENVIRONMENT, FACTS, FINGERPRINTS, curves, outcomes
from tests.report.test_html import EVIL, Page
from verax import report
from verax.certify import Certificate
from verax.data import Examples
from verax.evaluate import TokenScores, score, slices

RANDOM = np.random.default_rng(0)


def material(task: str) -> dict:
    truth = RANDOM.integers(0, 2, (200, 3))
    probabilities = np.clip(0.2 + 0.6 * truth + 0.15 * RANDOM.normal(size=(200, 3)), 0.01, 0.99)
    if task == "binary":
        both = np.stack([1 - probabilities[:, 0], probabilities[:, 0]], axis=1)
        return {
            "predictions": both,
            "targets": truth[:, 0],
            "evaluation": score("binary", both, truth[:, 0], threshold=0.4),
        }
    if task == "multilabel":
        found = score("multilabel", probabilities, truth, classes=["a", EVIL, "$x$"])
        return {"predictions": probabilities, "targets": truth, "evaluation": found}
    if task == "regression":
        values = truth + 0.3 * RANDOM.normal(size=truth.shape)
        found = score("regression", values, truth.astype(float), spread=np.full(truth.shape, 0.3))
        return {"predictions": values, "targets": truth.astype(float), "evaluation": found}
    if task == "language_model":
        said = TokenScores(RANDOM.gamma(2.0, size=(30, 8)), RANDOM.random((30, 8)) < 0.4)
        return {"evaluation": score("language_model", said, np.ones((30, 8), int)), "history": curves(epochs=12)}
    images = RANDOM.random((20, 8, 8))
    return {"predictions": images * 0.9, "targets": images, "evaluation": score("autoencoder", images * 0.9, images)}


SHOWN = {
    "binary": {"ROC curve", "Precision-recall curve", "Reliability diagram", "Confusion matrix"},
    "multilabel": {"F1 by label", "Reliability by label"},
    "regression": {"Predicted against true", "R² by output", "Coverage of predicted intervals"},
    "language_model": {"Perplexity in training", "Loss in training"},
    "autoencoder": {"Reconstructions"},
}


@pytest.mark.parametrize("task", SHOWN)
def test_a_page_shows_what_its_task_has(task):
    drawn = material(task)
    certificate = Certificate("Page", outcomes(), drawn["evaluation"].metrics, FINGERPRINTS, ENVIRONMENT)
    text = report.html(certificate, **drawn)
    page = Page(text)
    titles = {each["text"] for each in page.all("b")}
    assert SHOWN[task] <= titles
    others = set().union(*SHOWN.values()) - SHOWN[task]
    assert not others & titles
    assert len(text.encode()) < 2_000_000 and not page.all("script")


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate("Page", outcomes(), {}, FINGERPRINTS, ENVIRONMENT)


def test_the_schedule_and_the_augmentation_are_drawn_and_not_listed(certificate):
    images = RANDOM.integers(0, 255, (9, 8, 8, 3)).astype(np.uint8)
    facts = {
        **FACTS,
        "schedule": {"steps": list(range(900)), "sizes": np.linspace(1e-3, 0, 900).tolist()},
        "augmented": {"before": images.tolist(), "after": images[:, ::-1].tolist()},
    }
    page = Page(report.html(certificate, run_facts=facts))
    titles = {each["text"] for each in page.all("b")}
    assert {"Learning rate", "Augmentation"} <= titles
    run = next(each["text"] for each in page.all("section") if each.get("aria-labelledby") == "run")
    assert "schedule" not in run and "augmented" not in run and "25,450" in run
    training = next(each["text"] for each in page.all("section") if each.get("aria-labelledby") == "training")
    assert "From 0.001 to 0, 0.001 at most." in training
    plain = Page(report.html(certificate, run_facts=FACTS))
    assert not {"Learning rate", "Augmentation"} & {each["text"] for each in plain.all("b")}
    assert {"schedule", "augmented"} <= report.figures(certificate, run_facts=facts).keys()


@pytest.mark.parametrize("apart", [0.0, 0.4])
def test_groups_are_shown_with_the_one_that_falls_behind(certificate, apart):
    labels, group = RANDOM.integers(0, 3, 900), np.array([EVIL, "b", "c"])[np.arange(900) % 3]
    right = RANDOM.random(900) < np.where(group == EVIL, 0.9 - apart, 0.9)
    predicted = np.where(right, labels, (labels + 1) % 3)
    found = slices("classification", np.eye(3)[predicted] * 0.7 + 0.1, labels, {"site": group})
    page = Page(report.html(certificate, slices=found))
    text = next(each["text"] for each in page.all("section") if each.get("aria-labelledby") == "groups")
    assert ("no more than chance explains" in text) == (apart == 0)
    assert "Accuracy by group" in text and ("is worst of 3" in text)
    assert not page.all("script")


class Pictures:
    def __init__(self, inputs):
        self.inputs = inputs

    def examples(self, split):
        return Examples(self.inputs, np.zeros(len(self.inputs), int))


def test_augmented_examples_are_the_first_of_training():
    images = RANDOM.random((12, 6, 5)).astype(np.float32)

    def augment(key, batch):
        return batch._replace(inputs=batch.inputs + jax.random.normal(key, batch.inputs.shape))

    experiment = SimpleNamespace(augment=augment, seed=3)
    found = report.augmented_examples(experiment, Pictures(images), count=4)
    np.testing.assert_array_equal(found["before"], images[:4])
    assert found["after"].shape == (4, 6, 5) and (found["after"] != images[:4]).all()
    np.testing.assert_array_equal(
        report.augmented_examples(experiment, Pictures(images), count=4)["after"], found["after"]
    )
    assert report.augmented_examples(experiment, Pictures(images[:, 0])) is None
    assert report.augmented_examples(SimpleNamespace(augment=None, seed=0), Pictures(images)) is None
