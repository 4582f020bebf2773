"""Diagnoses: mode."""

from verax.doctor.catalogue._page import LARGE, Page

GROUP = "Mode"

PAGES = (
    Page(
        "train-mode-at-eval",
        group=GROUP,
        kind="cause",
        meaning="training behaviour is active at evaluation",
        symptom="Scores are worse than in training, change with the batch size, or from call to call.",
        cause="Dropout or batch statistics are active in evaluation: the switch is not passed on.",
        evidence="Which of three: random numbers are drawn, rows depend on each other, or both modes are one program.",
        fix="Pass the mode through every layer.",
        change=(
            "- logits = model.apply(variables, x, train=True)",
            "+ logits = model.apply(variables, x, train=False)",
        ),
        false_alarm="A network with neither dropout nor batch statistics has no mode.",
        part="model",
        proof="exact",
        explains=(
            "cross-example-leak",
            "nondeterministic-eval",
            "train-eval-discrepancy",
            "batch-size-dependent-output",
            "stale-batch-stats",
            "batchnorm-small-batch",
            "miscalibration",
            "no-better-than-baseline",
            "majority-class-collapse",
        ),
    ),
    Page(
        "eval-mode-in-training",
        group=GROUP,
        kind="cause",
        meaning="evaluation behaviour is active in training",
        symptom="Dropout has no effect, running statistics stay 0 and 1.",
        cause="The network is called in evaluation mode while it trains.",
        evidence="Random numbers that are never drawn though there is a dropout, or statistics that do not move.",
        fix="Pass train=True in the training step.",
        change=(
            "- logits = model.apply(variables, x, train=False)",
            '+ logits, state = model.apply(variables, x, train=True, rngs=rngs, mutable=["batch_stats"])',
        ),
        false_alarm="A rate of 0 draws nothing by right.",
        part="model",
        proof="exact",
        explains=(
            *LARGE,
            "stale-batch-stats",
            "overfitting",
            "overtraining",
            "train-eval-discrepancy",
            "exploding-activation",
        ),
    ),
    Page(
        "train-eval-discrepancy",
        group=GROUP,
        kind="symptom",
        meaning="the same rows score very differently in the two modes",
        symptom="The same rows score much worse in evaluation than in training mode.",
        cause="Stale statistics, a mode that is not passed on, small batches.",
        evidence="Both losses on the same rows.",
        fix="Look for the cause among the other findings.",
        false_alarm="Dropout makes training worse than evaluation by right: only the reverse counts.",
        part="model",
        proof="symptom",
    ),
)
