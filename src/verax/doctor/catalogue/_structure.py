"""Diagnoses: model structure."""

from verax.doctor.catalogue._page import POOR, Page

GROUP = "Model structure"

PAGES = (
    Page(
        "missing-nonlinearity",
        group=GROUP,
        kind="cause",
        meaning="linear layers follow one another with nothing between them",
        symptom="A deep network does no better than a linear one.",
        cause="Layers follow one another with no activation between them: together they are one linear map.",
        evidence="The two layers, and how far the output is from being linear in the input (not at all).",
        fix="Put an activation between them.",
        change=(
            "- x = nn.Dense(64)(x)",
            "- x = nn.Dense(10)(x)",
            "+ x = nn.relu(nn.Dense(64)(x))",
            "+ x = nn.Dense(10)(x)",
        ),
        false_alarm=(
            "One linear layer is a linear model, by choice. Low-rank factors and separable convolutions chain "
            "layers on purpose: only a network that is linear as a whole alarms."
        ),
        part="model",
        proof="exact",
        explains=(*POOR, "insufficient-capacity"),
    ),
    Page(
        "insufficient-capacity",
        group=GROUP,
        kind="cause",
        meaning="the model is too small or has too narrow a passage for the task",
        symptom="The training score stays poor whatever the learning rate; a larger network does well.",
        cause="The network is too small for the task, or one layer is so narrow that information is lost.",
        evidence=(
            "The loss that one batch reaches at the best of several rates, the narrowest layer, and the same "
            "with a wider one."
        ),
        fix="Widen or deepen the network where it is narrowest.",
        false_alarm="Heavy dropout or decay looks the same: it is tried without them first.",
        part="model",
        proof="counterfactual",
        explains=(*POOR,),
    ),
    Page(
        "output-size-mismatch",
        group=GROUP,
        kind="cause",
        meaning="number of outputs differs from the number of classes",
        symptom="Some classes are never predicted, or the loss does not fit the outputs.",
        cause="The last layer has another number of outputs than the task has classes or targets.",
        evidence="Both numbers.",
        fix="Give the last layer as many outputs as there are classes.",
        false_alarm=(
            "Spare outputs (a padded vocabulary, a mean and a variance) are allowed: fewer outputs than classes "
            "are not."
        ),
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "wrong-rank",
            "non-finite-loss",
        ),
    ),
    Page(
        "input-ignored",
        group=GROUP,
        kind="cause",
        meaning="the output does not depend on the input",
        symptom="Every input gets the same answer; the loss stops at that of the best constant.",
        cause="The input is overwritten, masked, multiplied by zero, or never used.",
        evidence=(
            "The largest derivative of the outputs by the inputs, which is zero, and the spread of the outputs "
            "over the rows."
        ),
        fix="Follow the input through the network to where it is lost.",
        false_alarm=(
            "A last layer of zeros gives constant outputs at the start: it is looked at again after some steps."
        ),
        part="model",
        proof="exact",
        explains=(*POOR, "parameter-without-gradient", "insufficient-capacity", "vanishing-gradient"),
    ),
    Page(
        "parameter-without-gradient",
        group=GROUP,
        kind="cause",
        meaning="the loss does not depend on a parameter, or its gradient is cut",
        symptom="Some weights never move; the network does worse than its size suggests.",
        cause="The loss does not depend on them, or stop_gradient, round, argmax or a cast to integers cuts the way.",
        evidence="The parameters, and the operation that cuts, or that there is no way at all.",
        fix="Connect the layer, or take the cut away.",
        change=(
            "- features = jax.lax.stop_gradient(body(x))",
            "+ features = body(x)",
        ),
        false_alarm=(
            "A part that is frozen on purpose, also in the optimizer, is a remark. A last layer of zeros holds "
            "back the others for one step only."
        ),
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "insufficient-capacity",
            "unintended-freeze",
            "vanishing-gradient",
        ),
    ),
    Page(
        "unintended-weight-sharing",
        group=GROUP,
        kind="cause",
        meaning="separate layers hold the same parameters",
        symptom="A deep network does no better than a shallow one.",
        cause="One layer was made once and called twice, or two were made from one set of weights.",
        evidence="The two places that use the same parameters.",
        fix="Make a layer for each place.",
        change=(
            "- layer = nn.Dense(64)",
            "- x = layer(nn.relu(layer(x)))",
            "+ x = nn.Dense(64)(nn.relu(nn.Dense(64)(x)))",
        ),
        false_alarm="Tied embeddings and recurrent networks share on purpose.",
        part="model",
        proof="statistical",
        explains=("insufficient-capacity", "underfitting"),
    ),
    Page(
        "cross-example-leak",
        group=GROUP,
        kind="cause",
        meaning="an output depends on other examples of the batch",
        symptom="A prediction changes with the other rows of its batch; evaluation one by one gives other scores.",
        cause=(
            "Something is computed over the batch axis: a softmax or a normalisation over the wrong axis, a "
            "reshape that mixes rows, batch statistics at evaluation."
        ),
        evidence=(
            "The derivative of one row's output by another row's input, which ought to be zero, and the first "
            "operation that mixes rows."
        ),
        fix="Compute over the axis of features, and transpose where a reshape was used.",
        change=(
            "- x = x - x.mean()",
            "+ x = x - x.mean(axis=-1, keepdims=True)",
        ),
        false_alarm=(
            "Batch normalisation in training and contrastive losses couple rows by design: only outputs in "
            "evaluation are judged."
        ),
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "train-eval-discrepancy",
            "batch-size-dependent-output",
            "batchnorm-small-batch",
            "overfitting",
        ),
    ),
    Page(
        "scrambling-reshape",
        group=GROUP,
        kind="cause",
        meaning="a reshape mixes axes where a transpose was meant",
        symptom="The network learns poorly though every shape is right.",
        cause=(
            "A reshape was used where a transpose was meant: it keeps the order in memory, so values of "
            "different rows or positions are mixed."
        ),
        evidence="The reshape with its shapes, and the rows that it mixes.",
        fix="Swap the axes.",
        change=(
            "- x = x.reshape(time, batch, features)",
            "+ x = jnp.swapaxes(x, 0, 1)  # batch time features -> time batch features",
        ),
        false_alarm="Merging (batch, time) for a layer and splitting it back keeps the rows apart, and is right.",
        part="model",
        proof="exact",
        explains=(
            *POOR,
            "cross-example-leak",
            "causal-leak",
            "batch-size-dependent-output",
            "train-eval-discrepancy",
            "insufficient-capacity",
        ),
    ),
    Page(
        "causal-leak",
        group=GROUP,
        kind="cause",
        meaning="an output at one position depends on later positions",
        symptom="The training loss is far too good, and generated text is poor.",
        cause=(
            "An output at one position can see later positions, which hold the answer: no causal mask, or "
            "targets not shifted."
        ),
        evidence="The derivative of an output by later inputs, which ought to be zero.",
        fix="Mask attention, pad convolutions on the left only, and shift the targets by one.",
        change=(
            "- scores = queries @ keys.T",
            "+ scores = jnp.where(jnp.tri(time, dtype=bool), queries @ keys.T, -jnp.inf)",
        ),
        false_alarm="Encoders look both ways by design: only tasks that predict the next position are judged.",
        part="model",
        proof="exact",
        explains=(
            "target-leakage",
            "overfitting",
            "train-eval-discrepancy",
        ),
    ),
    Page(
        "excessive-downsampling",
        group=GROUP,
        kind="cause",
        meaning="feature maps shrink until nothing is left",
        symptom="A convolutional network does poorly; layers near the end see a single pixel.",
        cause="Strides and pools shrink the maps until nothing is left before the last convolution.",
        evidence="The sizes of the maps, layer by layer.",
        fix="Take out strides or pools, or pad with SAME.",
        false_alarm="A pool over everything at the end is usual.",
        part="model",
        proof="exact",
        explains=("insufficient-capacity", "underfitting"),
    ),
    Page(
        "redundant-bias-before-norm",
        group=GROUP,
        kind="cause",
        meaning="a bias is cancelled by the normalisation after it",
        symptom="Nothing visible: a bias is learnt in vain.",
        cause="The normalisation after the layer subtracts the mean, and the bias with it.",
        evidence=(
            "The bias, whose gradient is zero up to rounding, and the subtraction of a mean by which alone it goes to "
            "the outputs."
        ),
        fix="Leave it out.",
        change=(
            "- x = nn.BatchNorm(use_running_average=False)(nn.Conv(64, (3, 3))(x))",
            "+ x = nn.BatchNorm(use_running_average=False)(nn.Conv(64, (3, 3), use_bias=False)(x))",
        ),
        false_alarm="A remark on design, never an alarm.",
        part="model",
        proof="exact",
        explains=("parameter-without-gradient",),
    ),
)
