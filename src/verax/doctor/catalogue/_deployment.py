"""Diagnoses: deployment."""

from verax.doctor.catalogue._page import Page

GROUP = "Deployment"

PAGES = (
    Page(
        "checkpoint-mismatch",
        group=GROUP,
        kind="cause",
        meaning="what is restored is not what was saved",
        symptom="A restored network answers otherwise than the saved one.",
        cause=(
            "Not everything was saved: batch statistics, preparation, the optimizer's state; or structure or "
            "type changed."
        ),
        evidence=(
            "The first leaf that differs between disk and memory; or the validation loss of the weights, beside what "
            "was recorded at their step."
        ),
        fix="Save parameters, state, optimizer and preparation together.",
        change=(
            "- save(state.params)",
            '+ save({"params": state.params, "batch_stats": state.batch_stats, "opt_state": state.opt_state})',
        ),
        false_alarm=(
            "None on disk, where leaves are compared bit by bit. A loss on another device differs by rounding, which "
            "is measured with weights that are rounded, and allowed."
        ),
        part=None,
        proof="exact",
        explains=("export-mismatch",),
    ),
    Page(
        "batch-size-dependent-output",
        group=GROUP,
        kind="cause",
        meaning="predictions change with the size of the batch",
        symptom="One row alone gets another answer than in a batch.",
        cause="Batch statistics are used in evaluation, or rows are mixed.",
        evidence="The largest difference.",
        fix="See train-mode-at-eval and cross-example-leak.",
        false_alarm="Sums are rounded differently by size: tiny differences are allowed.",
        part="model",
        proof="exact",
        explains=("train-eval-discrepancy",),
    ),
    Page(
        "export-mismatch",
        group=GROUP,
        kind="cause",
        meaning="the exported function differs from its source",
        symptom="The exported function answers otherwise than its source.",
        cause="Another mode, another precision, or a fixed batch size.",
        evidence="The largest difference, on some rows and on an odd number of rows.",
        fix="Export in evaluation mode, with a symbolic batch size.",
        false_alarm="Half precision rounds differently.",
        part="model",
        proof="exact",
    ),
    Page(
        "missing-preprocessing-in-export",
        group=GROUP,
        kind="cause",
        meaning="the served model lacks the preparation of its inputs",
        symptom="The served model is near chance though its tests pass.",
        cause="It expects prepared inputs, and is given raw ones.",
        evidence=(
            "Raw rows through the exported model in the run's folder, and the same rows through the network, prepared "
            "and unprepared."
        ),
        fix="Export preparation and network together, as vx.export does.",
        false_alarm="A network that prepares its inputs by itself, or a model that refuses raw rows, is left alone.",
        part="data",
        proof="exact",
        explains=("export-mismatch",),
    ),
    Page(
        "export-failed",
        group=GROUP,
        kind="cause",
        meaning="a saved model cannot be read or run in a fresh process",
        symptom="The saved model cannot be read or run in a fresh process.",
        cause="Export or loading raised an error.",
        evidence="What was said.",
        fix="Export again.",
        part="model",
        proof="exact",
    ),
)
