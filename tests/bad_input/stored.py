"""Data, runs and models on disk that are wrong, each with a command that meets it. `files` are made by `files.py`."""

from tests.bad_input.commands import Command


def _data(name: str, kind: str, file: str, *said: str) -> Command:
    return Command(name, f"train {{from_files}} --kind {kind} --path {{files}}/{file} --out {{out}}", said)


DATA = (
    _data(
        "a table that is not there",
        "csv",
        "gone.csv",
        r"gone\.csv must be a CSV file, but there is no such file",
        "Known|Did you mean",
    ),
    _data("an empty table", "csv", "empty.csv", r"empty\.csv must have rows, found none"),
    _data("a table of a header", "csv", "header.csv", r"header\.csv must have rows, found none"),
    _data(
        "a row with a value too many",
        "csv",
        "ragged.csv",
        r"ragged\.csv line 5 must have 4 values",
        "found 5",
        "delimiter ',' right",
    ),
    _data(
        "a table that is cut short",
        "csv",
        "cut.csv",
        r"cut\.csv line \d+ must have 4 values",
        "found [123]",
        "cut short",
    ),
    _data("a table without its target", "csv", "no_target.csv", "must have a column 'price'", "Did you mean 'prize'"),
    _data(
        "a table without a header",
        "csv",
        "no_header.csv",
        "line 1 must name the columns, found numbers only",
        "pass columns=",
    ),
    _data(
        "text in a column of numbers",
        "csv",
        "text_among_numbers.csv",
        r"csv line 5: a finite number .* found 'heavy'",
        "Correct the value",
    ),
    _data(
        "a target that is missing",
        "csv",
        "missing_price.csv",
        "line 5: the target 'price' is missing",
        "Remove these rows",
    ),
    _data(
        "a target that is text",
        "csv",
        "text_price.csv",
        "line 5: the target 'price' must be a number, found 'much'",
        "classification",
    ),
    _data("a column twice", "csv", "repeated.csv", "line 1 must have distinct column names, found 'size' twice"),
    _data(
        "a value that is missing in training",
        "csv",
        "missing_weight.csv",
        "inputs must be finite, found nan in 1 of",
        "impute",
    ),
    _data("a compressed table", "csv", "compressed.csv", r"compressed\.csv must be text in UTF-8", "compressed"),
    _data("an archive as table", "csv", "sound.npz", r"sound\.npz must be (text in UTF-8|a CSV file)"),
    _data("a folder as table", "csv", "an_empty_folder", "must be a CSV file, but it is a folder"),
    _data(
        "arrays that are not there", "npz", "gone.npz", r"gone\.npz must be an \.npz file, but there is no such file"
    ),
    _data(
        "arrays that are cut short",
        "npz",
        "cut.npz",
        r"cut\.npz must be an \.npz file",
        "cut short, or of another kind",
    ),
    _data("text instead of arrays", "npz", "text.npz", r"text\.npz must be an \.npz file", "of another kind"),
    _data(
        "arrays that are damaged", "npz", "flipped.npz", r"must hold plain arrays, but 'x' cannot be read", "damaged"
    ),
    _data(
        "arrays of Python objects",
        "npz",
        "objects.npz",
        "must hold plain arrays, but 'x' cannot be read",
        "Python objects",
    ),
    _data(
        "arrays of other names",
        "npz",
        "other_names.npz",
        r"usual names",
        r"found \['images', 'answers'\]",
        "inputs= and targets=",
    ),
    _data(
        "a single array",
        "npz",
        "single.npz",
        "with several named arrays",
        r"found a single \.npy array of shape \(60, 3, 3\)",
    ),
    _data(
        "an IDX file that is cut short",
        "idx",
        "cut-images",
        r"must have 556 bytes for shape \(60, 3, 3\)",
        "found 549",
        "again",
    ),
    _data(
        "an IDX file without its header",
        "idx",
        "headless-images",
        "must have 3 axes in its header, but it ends after 6 bytes",
    ),
    _data(
        "a picture as IDX file",
        "idx",
        "magic-images",
        "must be an IDX file, which begins with 00 00",
        "found 89 50 4e 47",
    ),
    _data(
        "a gzip file that is cut short",
        "idx",
        "gzip-cut-images",
        "must be a whole gzip file",
        "damaged or cut short at",
    ),
    _data(
        "a gzip file that is damaged",
        "idx",
        "gzip-flipped-images",
        "must be a whole gzip file",
        "damaged or cut short at",
    ),
    _data(
        "labels as images", "idx", "swapped-images", "images must have two axes or more", r"shape \(60,\)", "swapped"
    ),
    _data(
        "labels that are not there",
        "idx",
        "alone-images",
        "alone-labels must be an IDX file, but there is no such file",
    ),
    _data(
        "MNIST that is not there, offline",
        "mnist",
        "x",
        "mnist needs 4 files that are not on this machine",
        "train-images-idx3-ubyte.gz",
        "VERAX_DATA",
    ),
    Command(
        "MNIST with other contents",
        "train {from_files} --kind mnist --path x --out {out}",
        ("train-images-idx3-ubyte.gz must have SHA-256 440fcabf", "found ", "Delete it or put the right file there"),
        environment="VERAX_DATA={files}/data",
    ),
)

RUNS = (
    Command(
        "a folder that holds something",
        "train {experiments} --out {files}/npz_run",
        ("exists already and is not empty", "--out"),
    ),
    Command("a file as folder", "train {experiments} --out {files}/sound.csv", (r"sound\.csv is a file", "--out")),
    Command(
        "a run that is not there", "certify {files}/gone_run", ("gone_run does not exist", "Expected a run folder")
    ),
    Command("a folder that is no run", "certify {files}/an_empty_folder", ("is no run folder", "it holds nothing")),
    Command("a model instead of a run", "certify {files}/npz.vx", ("expected a run folder", r"npz\.vx is a model\.vx")),
    Command("a table instead of a run", "show {files}/sound.csv", (r"sound\.csv must be a run folder or",)),
    Command(
        "a flipped byte in the weights",
        "certify {files}/flipped_run",
        (r"is damaged: arrays/\S+ has changed since it was written", "Use another checkpoint"),
    ),
    Command("a run that did not finish", "certify {files}/unfinished_run", ("holds no final state", "did not finish")),
    Command("a run cut short", "evaluate {files}/cut_run", (r"experiment\.json cannot be read", "verax train wrote")),
    Command(
        "a manifest cut short",
        "evaluate {files}/cut_manifest_run",
        (r"manifest\.json cannot be read", "another checkpoint"),
    ),
    Command("no manifest", "evaluate {files}/no_manifest_run", (r"manifest\.json is missing", "save_state wrote")),
    Command(
        "no weights in a run",
        "evaluate {files}/no_arrays_run",
        (r"is damaged: arrays/\S+ is missing; .* and \d+ more files", "Use another checkpoint"),
    ),
    Command("findings cut short", "evaluate {files}/cut_findings_run", (r"findings\.json is missing or damaged",)),
    Command(
        "a damaged history",
        "evaluate {files}/damaged_history_run",
        (r"history\.jsonl is damaged", "Restore it, or train again"),
    ),
    Command(
        "data that have changed",
        "certify {files}/other_data_run",
        ("the data of .* have changed since it was trained", "Restore"),
    ),
    Command(
        "data that are gone",
        "certify {files}/no_data_run",
        (r"gone\.npz must be an \.npz file, but there is no such file",),
    ),
    Command(
        "a run of a bare value",
        "certify {files}/bare_run",
        ("cannot be made again from disk", r"a function experiment"),
    ),
    Command(
        "a run of a later version", "evaluate {files}/newer_run", ("has format 99, this Verax reads 1", "Update Verax")
    ),
    Command(
        "weights of another width",
        "evaluate {files}/wider_run",
        ("does not fit", r"params/Dense_1/kernel: expected float32\[9,7\], found float32\[9,4\]"),
    ),
    Command(
        "a split that the data lack",
        "evaluate {files}/npz_run --split calibration",
        ("the data have no calibration split, they have train, validation, test", r"\.split\(calibration="),
    ),
    Command("an unknown split", "evaluate {files}/npz_run --split dev", ("--split", "dev", "test")),
    Command(
        "rows for a run", "evaluate {files}/npz_run {files}/sound.csv", (r"rows are for a model\.vx", "Use --split")
    ),
    Command(
        "an unknown waiver",
        "certify {files}/npz_run --waive tunde=later",
        ("unknown item 'tunde'|'tunde'", "Did you mean 'tuned'"),
    ),
    Command(
        "a waiver without a reason",
        "certify {files}/npz_run --waive tuned=",
        ("--waive must be of the form", "got 'tuned='"),
    ),
    Command(
        "a waiver without anything",
        "certify {files}/npz_run --waive tuned",
        ("--waive must be of the form", "got 'tuned'"),
    ),
    Command(
        "an unknown limit",
        "certify {files}/npz_run --limit latency_p99=1",
        ("unknown limit 'latency_p99'", "Did you mean 'latency_p99_seconds'"),
    ),
    Command(
        "a negative limit",
        "certify {files}/npz_run --limit calibration_error=-1",
        ("calibration_error must be a positive number", r"got -1\.0"),
    ),
    Command(
        "a limit that is no number",
        "certify {files}/npz_run --limit calibration_error=low",
        ("calibration_error must be a number", "got 'low'"),
    ),
    Command(
        "a study that is not there",
        "certify {files}/npz_run --study {files}/gone.json",
        (r"gone\.json does not exist", "verax tune wrote"),
    ),
    Command(
        "a damaged study",
        "certify {files}/npz_run --study {files}/damaged_study.json",
        (r"damaged_study\.json is no study", "verax tune wrote"),
    ),
    Command("a damaged certificate", "show {files}/damaged_certificate.json", ("cannot be read", "damaged")),
    Command("another kind of JSON", "show {files}/other.json", ("is no certificate", "verax certify wrote")),
    Command(
        "an export that is there already",
        "export {files}/npz_run --out {files}/npz.vx",
        (r"npz\.vx exists already", "Choose another", "--overwrite"),
    ),
)

MODELS = (
    Command(
        "a model that is not there",
        "predict {files}/gone.vx {files}/sound.csv",
        (r"gone\.vx does not exist", r"a model\.vx"),
    ),
    Command(
        "a run without a model",
        "predict {files}/npz_run {files}/sound.csv",
        ("holds no exported model yet", "verax export"),
    ),
    Command(
        "weights cut short",
        "predict {files}/cut_weights.vx {files}/wide.npy",
        (r"weights\.safetensors is cut short", "bytes expected, found", "Copy it again"),
    ),
    Command(
        "a flipped byte in a model",
        "predict {files}/flipped_weights.vx {files}/wide.npy",
        ("changed or damaged: SHA-256", "Copy it again"),
    ),
    Command(
        "no weights in a model",
        "predict {files}/no_weights.vx {files}/wide.npy",
        (r"weights\.safetensors is expected, found only", "whole folder"),
    ),
    Command(
        "no program in a model",
        "show {files}/no_program.vx",
        (r"program\.stablehlo is expected, found only", "whole folder"),
    ),
    Command(
        "an edited signature",
        "predict {files}/edited.vx {files}/wide.npy",
        ("its digest does not fit: it was edited or damaged",),
    ),
    Command(
        "a signature cut short", "show {files}/cut_signature.vx", (r"signature\.json must be JSON", "cut short at")
    ),
    Command(
        "a model of a later version", "show {files}/newer.vx", ("must have format 1, found 99", "Install that version")
    ),
    Command(
        "a signature of something else", "show {files}/other_kind.vx", ("must be of kind 'verax model', found 'lens'",)
    ),
    Command(
        "rows that are not there",
        "predict {files}/csv.vx {files}/gone.csv",
        (r"gone\.csv must be a file with rows, but there is no such file",),
    ),
    Command(
        "rows of an unknown kind",
        "predict {files}/csv.vx {files}/rows.xlsx",
        (r"must be a file with rows \(\.csv", r"got 'rows\.xlsx'"),
    ),
    Command(
        "a table to a model of pictures",
        "predict {files}/npz.vx {files}/sound.csv",
        (r"must hold uint8 of shape \(examples, 3, 3\)", r"\.npy"),
    ),
    Command(
        "pictures of another shape",
        "predict {files}/npz.vx {files}/wide.npy",
        (r"uint8 of shape \(examples, 3, 3\), got shape \(2, 3, 4\)",),
    ),
    Command(
        "one picture without its axis",
        "predict {files}/npz.vx {files}/one_picture.npy",
        (r"got one example of shape \(3, 3\)", r"rows\[None\]"),
    ),
    Command(
        "pictures that were scaled",
        "predict {files}/npz.vx {files}/scaled.npy",
        ("rows must be uint8", "got float32", "scaled already"),
    ),
    Command(
        "pixels beyond a byte",
        "predict {files}/npz.vx {files}/beyond.npy",
        (r"got 300 at index \[0, 0, 0\], outside \[0, 255\]",),
    ),
    Command(
        "arrays cut short",
        "predict {files}/npz.vx {files}/cut.npy",
        (r"cut\.npy must be a \.npy file with numbers", "Save it again"),
    ),
    Command("objects to predict", "predict {files}/npz.vx {files}/objects.npz", (r"objects\.npz must",)),
    Command(
        "an unknown category",
        "predict {files}/csv.vx {files}/unknown_colour.csv",
        ("row 1 column 'colour': unknown-category", "found 'blu'", "Did you mean 'blue'"),
    ),
    Command(
        "a column that is missing", "predict {files}/csv.vx {files}/no_weight.csv", ("column 'weight': missing-column",)
    ),
    Command(
        "a column too many",
        "predict {files}/csv.vx {files}/extra.csv",
        ("column 'height': unexpected-column", "Did you mean 'weight'"),
    ),
    Command(
        "text for a number to predict",
        "predict {files}/csv.vx {files}/text_size.csv",
        ("column 'size': not-a-number", "found 'big'", "Correct the value"),
    ),
    Command(
        "a missing value to predict",
        "predict {files}/csv.vx {files}/missing_weight.csv",
        ("row 3 column 'weight': missing-value", r"train with impute\(\)"),
    ),
    Command(
        "JSON cut short",
        "predict {files}/csv.vx {files}/rows.json",
        (r"rows\.json must be JSON, but line 1 column \d+ is not",),
    ),
    Command(
        "predictions onto a file",
        "predict {files}/csv.vx {files}/sound.csv --out {files}/header.csv",
        (r"header\.csv exists already", "--out"),
    ),
    Command(
        "a model scored without answers",
        "evaluate {files}/npz.vx",
        ("holds no data", "a file of rows with their answers"),
    ),
    Command(
        "answers that are missing",
        "evaluate {files}/npz.vx {files}/no_answers.npz",
        ("must hold 'targets' beside the inputs", "found inputs"),
    ),
    Command("answers out of range", "evaluate {files}/npz.vx {files}/wrong_answers.npz", (r"\[0, 3\)", "4|6")),
    Command(
        "a table without answers",
        "evaluate {files}/csv.vx {files}/unknown_colour.csv",
        ("must have the target column 'price'|unknown-category",),
    ),
)

STORED = (*DATA, *RUNS, *MODELS)
