"""What is said of a key that a function around it draws from again and again."""

import pytest

from verax.lint import check_text

HEAD = "import jax\nfrom jax import random\ndef f(key, tree, batches):\n"
NOISE = "    def noise():\n        return random.normal(key, (3,))\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            f"{NOISE}    return noise() + noise()\n",
            "6:22: VX101 each call of `noise` draws from the same `key` in line 5, so gives the same numbers; "
            "give it a key of its own.",
        ),
        (
            f"{NOISE}    return [batch + noise() for batch in batches]\n",
            "6:21: VX102 every pass of the loop uses the same `key` in noise, so draws the same numbers; "
            "split it in the loop, or fold in the number of the pass.",
        ),
        (
            "    return jax.tree.map(lambda leaf: leaf + random.normal(key, leaf.shape), tree)\n",
            "4:45: VX107 `key` is the same for all leaves, so jax.random.normal draws the same numbers for those of "
            "one shape; split it into a key for each leaf.",
        ),
    ],
)
def test_a_function_that_is_noise_draws_where_it_is_called(body, expected):
    (report,) = check_text(HEAD + body).reports
    assert str(report) == f"<text>:{expected}"
    assert report.level == "warning"
