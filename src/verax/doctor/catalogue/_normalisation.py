"""Diagnoses: normalisation."""

from verax.doctor.catalogue._page import POOR, Page

GROUP = "Normalisation"

PAGES = (
    Page(
        "stale-batch-stats",
        group=GROUP,
        kind="cause",
        meaning="running statistics do not match the data",
        symptom="Good in training, poor in evaluation, on the same rows.",
        cause="The running statistics are not updated, or so slowly that they still hold their first values.",
        evidence="Running and true mean and variance by layer, the momentum and the number of steps.",
        fix="Update them in each step; in Flax the momentum is the share that is kept: 0.9 to 0.99.",
        change=(
            "- outputs = model.apply(variables, x, train=True)",
            '+ outputs, state = model.apply(variables, x, train=True, mutable=["batch_stats"])',
        ),
        false_alarm=(
            "Right after the start, and where a network is fine-tuned with frozen statistics, they differ by right."
        ),
        part="model",
        proof="counterfactual",
        explains=("train-eval-discrepancy", "no-better-than-baseline", "majority-class-collapse", "miscalibration"),
    ),
    Page(
        "batchnorm-small-batch",
        group=GROUP,
        kind="cause",
        meaning="batch statistics over too few examples",
        symptom="The loss is noisy, and evaluation is worse than training.",
        cause="Mean and variance of a few rows are poor estimates.",
        evidence="The batch size, and how much the statistics differ between batches.",
        fix="Take larger batches, or GroupNorm or LayerNorm.",
        change=(
            "- x = nn.BatchNorm(use_running_average=not train)(x)",
            "+ x = nn.GroupNorm(num_groups=8)(x)",
        ),
        false_alarm="Statistics that are gathered over devices or over space rest on more than the batch.",
        part="model",
        proof="statistical",
        explains=(
            "train-eval-discrepancy",
            "loss-oscillation",
            "stale-batch-stats",
            "batch-size-too-small",
        ),
    ),
    Page(
        "normalization-wrong-axis",
        group=GROUP,
        kind="cause",
        meaning="a normalisation takes its statistics over the wrong axis",
        symptom="A prediction changes with the other rows of its batch.",
        cause="A normalisation takes mean and variance over the batch, or over everything, where features are meant.",
        evidence="The operation and its axes, and the derivative between rows in evaluation.",
        fix="Normalise over the last axis.",
        change=(
            "- x = (x - x.mean(0)) / x.std(0)",
            "+ x = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-6)",
        ),
        false_alarm="Batch normalisation in training mode does so by design.",
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "cross-example-leak",
            "train-eval-discrepancy",
            "batch-size-dependent-output",
            "batchnorm-small-batch",
            "division-by-zero",
        ),
    ),
    Page(
        "dropout-before-batchnorm",
        group=GROUP,
        kind="cause",
        meaning="dropout before a batch normalisation, directly or by one layer",
        symptom="Evaluation is a little worse than training.",
        cause="Dropout changes the variance that the batch normalisation learns, and is off in evaluation.",
        evidence=(
            "The places of the two layers, and the least factor between the variances of training and evaluation: "
            "1 / (1 - rate)."
        ),
        fix="Put dropout after the normalisation.",
        false_alarm="A remark, never an alarm: a variance that is a little too large costs little.",
        part="model",
        proof="exact",
        sources=(
            "Li et al. (2019), Understanding the Disharmony between Dropout and Batch Normalization by Variance Shift",
        ),
    ),
)
