"""Diagnoses: labels."""

from verax.doctor.catalogue._page import LARGE, NONFINITE, POOR, Page

GROUP = "Labels"

PAGES = (
    Page(
        "label-out-of-range",
        group=GROUP,
        kind="cause",
        meaning="labels lie outside the outputs of the model or the range that the loss takes",
        symptom="The loss falls and the accuracy stays low, or the loss is NaN; no error is raised.",
        cause=(
            "A label is negative or not below the number of outputs. JAX does not check it: one_hot gives zeros, "
            "indexing takes the last output or NaN, -1 wraps to the last class."
        ),
        evidence=(
            "Smallest and largest label, the number of outputs, the rows outside, and what the loss does with them."
        ),
        fix="Number the classes from 0, or give the network as many outputs as there are classes.",
        change=(
            '- labels = table["grade"]  # 1 to 5',
            '+ labels = table["grade"] - 1',
        ),
        false_alarm=(
            "A label of -1 or -100 that the loss masks is no fault: changing the outputs at these rows does not "
            "change the loss then."
        ),
        part="data",
        proof="exact",
        explains=(
            *POOR,
            *NONFINITE,
            "output-size-mismatch",
            "label-encoding-mismatch",
            "parameter-without-gradient",
            "label-noise",
            "bad-initial-loss",
        ),
    ),
    Page(
        "label-encoding-mismatch",
        group=GROUP,
        kind="cause",
        meaning="labels are coded otherwise than the loss expects",
        symptom="The loss is negative, or falls while the accuracy does not rise.",
        cause=(
            "The labels are coded otherwise than the loss expects: -1 and 1 in a loss for 0 and 1, one-hot rows "
            "where classes are wanted."
        ),
        evidence="The values of the labels, and the loss as the output moves, for each of them.",
        fix="Recode the labels, or take the loss that is meant for them.",
        change=(
            "- losses = optax.losses.sigmoid_binary_cross_entropy(logits, labels)  # -1 or 1",
            "+ losses = optax.losses.sigmoid_binary_cross_entropy(logits, (labels + 1) // 2)",
        ),
        false_alarm="Densities are negative by right: only losses of classes are judged.",
        part="data",
        proof="exact",
        explains=(
            *POOR,
            "negative-loss",
            "loss-divergence",
            "loss-mismatch",
            "loss-sign-error",
            "bad-initial-loss",
            "overfitting",
        ),
    ),
    Page(
        "label-misalignment",
        group=GROUP,
        kind="cause",
        meaning="labels belong to other rows than the inputs beside them",
        symptom="The network learns the training rows by heart and is at chance on others.",
        cause="Inputs and labels were shuffled, sorted or filtered apart from each other.",
        evidence="How often a row's neighbours share its label, in training against chance and against the test split.",
        fix="Apply one order to both.",
        change=(
            "- inputs = rng.permutation(inputs)",
            "+ order = rng.permutation(len(inputs))",
            "+ inputs, labels = inputs[order], labels[order]",
        ),
        false_alarm=(
            "Where neighbours say nothing (parity, raw text) this cannot be told: another split must show that they do."
        ),
        part="data",
        proof="statistical",
        explains=(
            *POOR,
            "label-noise",
            "overfitting",
            "overtraining",
            "input-ignored",
            "conflicting-labels",
            "insufficient-capacity",
            "miscalibration",
        ),
    ),
    Page(
        "label-noise",
        group=GROUP,
        kind="cause",
        meaning="a large share of labels is wrong",
        symptom="Training accuracy stops below 1 or rises long after the test score has fallen.",
        cause="A large share of the labels is wrong.",
        evidence="The share suspected, and ten rows with their label and the one that their neighbours suggest.",
        fix="Correct or drop these rows, use a loss that forgives (label smoothing), stop early.",
        false_alarm=(
            "Classes that overlap look the same to a simple model: the share is compared with what their overlap "
            "explains."
        ),
        part="data",
        proof="statistical",
        explains=("overfitting", "overtraining", "underfitting", "miscalibration"),
    ),
    Page(
        "conflicting-labels",
        group=GROUP,
        kind="cause",
        meaning="equal inputs carry different labels",
        symptom="The training loss does not reach zero however large the network is.",
        cause="Equal rows carry different labels: a column is missing, or labellers disagree.",
        evidence="The share of such rows, and one group with its labels.",
        fix="Add the column that tells them apart, or aggregate the labels.",
        false_alarm="With few possible inputs, labels that are drawn by chance conflict by nature.",
        part="data",
        proof="exact",
        explains=(
            "underfitting",
            "insufficient-capacity",
            "duplicate-examples",
            "label-noise",
        ),
    ),
    Page(
        "single-class-labels",
        group=GROUP,
        kind="cause",
        meaning="a split or most batches hold one class only",
        symptom="The loss is zero at once, and nothing is learnt.",
        cause="A filter, a sort or a wrong column left one class in a split or in most batches.",
        evidence="Counts by class.",
        fix="Look at the filter or the join; shuffle before splitting.",
        false_alarm="Methods that learn one class mean it.",
        part="data",
        proof="exact",
        explains=(
            "majority-class-collapse",
            "no-better-than-baseline",
            "class-imbalance",
        ),
    ),
    Page(
        "unscaled-target",
        group=GROUP,
        kind="cause",
        meaning="regression targets far from the scale of the outputs",
        symptom="The loss is huge and falls slowly; predictions crawl from zero towards the targets.",
        cause=(
            "The targets are of a size, or lie at a distance from zero, that the outputs of a fresh network "
            "reach only after many steps."
        ),
        evidence=(
            "Mean and deviation of the targets beside those of the first outputs, and the loss after some steps "
            "with standardised targets."
        ),
        fix="Standardise the targets and turn predictions back, or start the last layer at their mean and scale.",
        change=(
            "- targets = prices",
            "+ mean, std = prices.mean(), prices.std()",
            "+ targets = (prices - mean) / std  # prediction: output * std + mean",
        ),
        false_alarm="A network that scales its outputs itself passes.",
        part="data",
        proof="counterfactual",
        explains=(
            *POOR,
            *LARGE,
            *NONFINITE,
            "bad-initial-loss",
            "output-bias-mismatch",
            "learning-rate-too-high",
            "learning-rate-too-low",
            "over-clipping",
            "dying-relu",
            "insufficient-training",
        ),
    ),
    Page(
        "class-unseen-in-train",
        group=GROUP,
        kind="cause",
        meaning="a class occurs that training never showed",
        symptom="Rows of a class are always wrong.",
        cause="The class occurs in another split and never in training.",
        evidence="The class and the split.",
        fix="Split anew, by class, or leave these rows out.",
        part="data",
        proof="exact",
    ),
)
