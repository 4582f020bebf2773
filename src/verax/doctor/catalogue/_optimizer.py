"""Diagnoses: optimiser and learning rate."""

from verax.doctor.catalogue._page import LARGE, NONFINITE, POOR, Page

GROUP = "Optimiser and learning rate"

PAGES = (
    Page(
        "learning-rate-too-high",
        group=GROUP,
        kind="cause",
        meaning="the step size is too large",
        symptom="The loss jumps, diverges or stops high; rectified units die.",
        cause="Steps are longer than the curvature of the loss allows.",
        evidence=(
            "The loss of one batch before and after a step, the size of the updates beside the weights, and the "
            "loss after some steps at a tenth of the rate."
        ),
        fix="Divide the learning rate by 10, or warm it up.",
        change=(
            "- optax.adam(0.3)",
            "+ optax.adam(3e-3)",
        ),
        false_alarm=(
            "A rate alone says nothing: 0.5 is usual for SGD. Long first steps of biases that start at zero are normal."
        ),
        part="optimizer",
        proof="counterfactual",
        explains=(
            *POOR,
            *LARGE,
            *NONFINITE,
            "exploding-activation",
            "dying-relu",
            "saturated-activation",
            "vanishing-gradient",
            "batch-size-too-small",
            "overtraining",
            "miscalibration",
        ),
    ),
    Page(
        "learning-rate-too-low",
        group=GROUP,
        kind="cause",
        meaning="the step size is too small",
        symptom="The loss falls steadily and hardly at all.",
        cause="Steps are so short that the run ends long before the loss would.",
        evidence=(
            "The size of the updates beside the weights, and the loss after some steps at ten and a hundred "
            "times the rate."
        ),
        fix="Raise the learning rate 10 to 100 times.",
        change=(
            "- optax.sgd(1e-5)",
            "+ optax.sgd(1e-2)",
        ),
        false_alarm="Fine-tuning and the end of a decay take short steps on purpose.",
        part="optimizer",
        proof="counterfactual",
        explains=(*POOR, "insufficient-training", "insufficient-capacity"),
    ),
    Page(
        "warmup-too-long",
        group=GROUP,
        kind="cause",
        meaning="the run ends during the warm-up or soon after",
        symptom="Training crawls for the whole run.",
        cause="The warm-up counts more updates than the run has, or most of them: epochs were taken for steps.",
        evidence="The step size over the run, and the share of the peak that it reaches.",
        fix="Warm up for 1 to 10 % of the updates.",
        change=(
            "- optax.linear_schedule(0.0, 1e-2, 10_000)  # of 300 updates",
            "+ optax.linear_schedule(0.0, 1e-2, 30)",
        ),
        false_alarm="A run that is resumed, and ended early, may look so.",
        part="optimizer",
        proof="exact",
        explains=(*POOR, "learning-rate-too-low", "insufficient-training"),
    ),
    Page(
        "lr-decayed-early",
        group=GROUP,
        kind="cause",
        meaning="the schedule reaches its end long before the run does",
        symptom="The loss falls at first, and then stands still at a poor level.",
        cause="The schedule ends long before the run: its length was given in epochs.",
        evidence="The step size over the run, and the share of steps below 1 % of the largest.",
        fix="Give the schedule the length of the run, in updates.",
        change=(
            "- optax.cosine_decay_schedule(1e-3, decay_steps=epochs)",
            "+ optax.cosine_decay_schedule(1e-3, decay_steps=epochs * steps_per_epoch)",
        ),
        false_alarm="A short tail at a low rate is part of many schedules.",
        part="optimizer",
        proof="exact",
        explains=(*POOR, "learning-rate-too-low", "insufficient-training"),
    ),
    Page(
        "schedule-unfinished",
        group=GROUP,
        kind="cause",
        meaning="the schedule was made for a longer run",
        symptom="The last steps are as long as the first, and the loss is still noisy at the end.",
        cause="The schedule was made for a longer run.",
        evidence="The step size at the end beside the largest, and the length that the schedule was made for.",
        fix="Give the schedule the length of the run, in updates.",
        false_alarm="A run that is ended early on purpose.",
        part="optimizer",
        proof="exact",
    ),
    Page(
        "unintended-freeze",
        group=GROUP,
        kind="cause",
        meaning="parameters with a gradient are never updated although they should be",
        symptom=(
            "The network does worse than its size suggests; some weights are at the end what they were at the start."
        ),
        cause="A mask or labels of the optimizer leave out more than was meant.",
        evidence="The parameters that have a gradient and never move, and their share.",
        fix="Correct the mask, and print it.",
        change=(
            "- optax.masked(optax.adam(1e-3), lambda params: jax.tree.map(lambda p: p.ndim > 2, params))",
            "+ optax.masked(optax.adam(1e-3), lambda params: jax.tree.map(lambda p: p.ndim > 1, params))",
        ),
        false_alarm="A whole module that is frozen by its name, as in transfer, is a remark.",
        part="optimizer",
        proof="exact",
        explains=(*POOR, "insufficient-capacity", "insufficient-training"),
    ),
    Page(
        "update-sign-error",
        group=GROUP,
        kind="cause",
        meaning="updates are applied with the wrong sign",
        symptom="The loss rises from the first step.",
        cause="The updates point up the gradient: the learning rate lost its minus, or it was applied twice.",
        evidence="The angle between update and gradient, and the loss after one tiny step.",
        fix="Scale by minus the learning rate.",
        change=(
            "- optax.chain(optax.scale_by_adam(), optax.scale(1e-3))",
            "+ optax.chain(optax.scale_by_adam(), optax.scale(-1e-3))",
        ),
        false_alarm="An objective that is maximised means it.",
        part="optimizer",
        proof="exact",
        explains=(
            *POOR,
            *LARGE,
            *NONFINITE,
            "exploding-activation",
            "learning-rate-too-high",
            "negative-loss",
            "loss-sign-error",
            "insufficient-capacity",
        ),
    ),
    Page(
        "momentum-too-high",
        group=GROUP,
        kind="cause",
        meaning="the memory of the optimiser is too long for the run",
        symptom="The loss swings in long waves, or starts to fall late.",
        cause="The memory of the optimizer is as long as the run.",
        evidence="The response of the optimizer to one gradient, in steps, beside the length of the run.",
        fix="Use 0.9, or 0.99 for long runs.",
        change=(
            "- optax.sgd(1e-2, momentum=0.9999)",
            "+ optax.sgd(1e-2, momentum=0.9)",
        ),
        false_alarm="The second moment of Adam (b2) is no momentum.",
        part="optimizer",
        proof="counterfactual",
        explains=(*LARGE, *POOR, "learning-rate-too-high", "insufficient-training"),
    ),
    Page(
        "adam-epsilon-too-large",
        group=GROUP,
        kind="cause",
        meaning="epsilon outweighs the second moment",
        symptom="Adam trains as slowly as SGD with a tiny rate.",
        cause="Epsilon is larger than the root of the second moment, so that the division no longer rescales.",
        evidence="Updates for the observed gradient, and for ten times as much: they are not alike.",
        fix="Use 1e-8, or 1e-5 at most.",
        change=(
            "- optax.adam(1e-3, eps=1.0)",
            "+ optax.adam(1e-3)",
        ),
        false_alarm="With large gradients a larger epsilon does no harm.",
        part="optimizer",
        proof="counterfactual",
        explains=(*POOR, "learning-rate-too-low", "insufficient-training"),
    ),
    Page(
        "optimizer-state-reset",
        group=GROUP,
        kind="cause",
        meaning="the optimiser state is not carried from step to step",
        symptom="Adam behaves like sign descent, momentum has no effect, a schedule never moves on.",
        cause="The state is made anew, or not returned, in each step.",
        evidence=(
            "No result of a step depends on the state that it was given, or the state is given back as it came: read "
            "from the program. And the count over some steps."
        ),
        fix="Carry the state from step to step.",
        change=(
            "- updates, _ = optimizer.update(grads, optimizer.init(params), params)",
            "+ updates, opt_state = optimizer.update(grads, opt_state, params)",
        ),
        false_alarm=(
            "Told of Optax's own states, and of others that count. Wrappers that gather several steps read their "
            "state; a state that only keeps something to look at, and momentum of 0, are left alone."
        ),
        part="optimizer",
        proof="exact",
        explains=(*POOR, *LARGE, "warmup-too-long", "learning-rate-too-high", "learning-rate-too-low"),
    ),
    Page(
        "insufficient-training",
        group=GROUP,
        kind="cause",
        meaning="the run is too short",
        symptom="The loss is still falling fast at the end, on training and test rows alike.",
        cause="The run is too short.",
        evidence="The slope of the loss at the end, and the loss of a longer run.",
        fix="Train for more epochs.",
        false_alarm=(
            "A schedule that ends on purpose, and a rate that is too low, look alike: they are looked at first."
        ),
        part="schedule",
        proof="counterfactual",
        explains=("underfitting", "no-better-than-baseline", "majority-class-collapse"),
    ),
)
