"""Diagnoses: data."""

from verax.doctor.catalogue._page import LARGE, NONFINITE, POOR, Page

GROUP = "Data"

PAGES = (
    Page(
        "input-not-normalized",
        group=GROUP,
        kind="cause",
        meaning="input columns differ in scale, or lie far from zero, by enough to hinder training",
        symptom=(
            "The loss falls slowly, jumps or stays flat; a smaller learning rate helps a little. Tree models on "
            "the same table do well."
        ),
        cause=(
            "One learning rate serves all columns. Where columns differ in scale by a hundredfold, or lie far "
            "from zero, the step that suits one is far too large for another."
        ),
        evidence=(
            "The widest and the narrowest columns with mean and standard deviation, and the loss after some "
            "steps with the inputs as given and standardised."
        ),
        fix=(
            "Standardise with mean and standard deviation of the training rows, and apply the same numbers to "
            "test and serving data; or begin the network with a normalisation layer."
        ),
        change=(
            "- inputs = table",
            "+ mean, std = train.mean(0), train.std(0)",
            "+ inputs = (table - mean) / np.maximum(std, 1e-8)",
        ),
        false_alarm=(
            "Raw pixels, counts and one-hot columns are off any fixed range and train well; a network that "
            "normalises first, or looks tokens up in a table, does not care. The doctor alarms only where "
            "standardising was seen to help."
        ),
        part="data",
        proof="counterfactual",
        explains=(
            *POOR,
            *LARGE,
            *NONFINITE,
            "exploding-activation",
            "bad-initial-loss",
            "learning-rate-too-high",
            "learning-rate-too-low",
            "dying-relu",
            "saturated-activation",
            "vanishing-gradient",
            "over-clipping",
            "insufficient-training",
            "insufficient-capacity",
        ),
        sources=("LeCun et al. (1998), Efficient BackProp, section 4.3",),
    ),
    Page(
        "constant-feature",
        group=GROUP,
        kind="cause",
        meaning="an input column never changes",
        symptom=(
            "Nothing visible; a column carries no information, and a scaler that divides by its standard "
            "deviation gives NaN."
        ),
        cause="A join went wrong, a filter fixed the column, or it is padding.",
        evidence="The columns and their one value.",
        fix="Drop the columns, or mend the join that made them.",
        false_alarm=(
            "Border pixels never change: this is a remark, unless the column is constant in training and varies "
            "in the test split."
        ),
        part="data",
        proof="exact",
        explains=("distribution-shift",),
    ),
    Page(
        "non-finite-input",
        group=GROUP,
        kind="cause",
        meaning="NaN or infinite values among inputs or targets",
        symptom="The loss is NaN from the first step, or from the first batch that holds the row.",
        cause="Missing values read as NaN, or a division by zero in the preparation.",
        evidence="How many, the first row and column, and the share of batches that hold one.",
        fix="Impute or drop them, and assert that all is finite where the data are read.",
        change=(
            "- inputs = table.to_numpy()",
            "+ inputs = np.nan_to_num(table.to_numpy(), nan=0.0)",
            "+ inputs = np.concatenate([inputs, np.isnan(table.to_numpy())], 1)  # say where it was missing",
        ),
        false_alarm="A model that masks NaN itself has a finite loss on such rows; then it is a remark.",
        part="data",
        proof="exact",
        explains=(*POOR, *NONFINITE, "loss-divergence", "log-of-zero", "division-by-zero"),
    ),
    Page(
        "missing-value-sentinel",
        group=GROUP,
        kind="cause",
        meaning="missing values coded as an extreme number and fed as numbers",
        symptom="A column seems to matter in odd ways; scaled values are all but equal; steps are ruled by a few rows.",
        cause="Missing values were written as -1, -999 or 9999 and fed as if they were measured.",
        evidence=(
            "Column, value, how often it repeats exactly, and its distance from the rest of the column in median "
            "absolute deviations."
        ),
        fix="Decode the value to missing, impute it, and add a column that says where it was missing.",
        change=(
            '- age = table["age"]',
            '+ missing = table["age"] == -999',
            '+ age = np.where(missing, np.median(table["age"][~missing]), table["age"])',
        ),
        false_alarm=(
            "A sensor that saturates repeats its cap: look at the value before changing it. Counts repeat zero, "
            "which is not extreme."
        ),
        part="data",
        proof="statistical",
        explains=(
            *POOR,
            *LARGE,
            "extreme-outliers",
            "input-not-normalized",
            "learning-rate-too-high",
            "exploding-activation",
            "dying-relu",
            "saturated-activation",
        ),
    ),
    Page(
        "extreme-outliers",
        group=GROUP,
        kind="cause",
        meaning="a few values so extreme that they rule the gradient",
        symptom="The loss jumps at some batches and recovers; the fit is poor for most rows.",
        cause=(
            "A few values are so large that their rows rule the gradient: wrong units, typing errors, or a long tail."
        ),
        evidence="Rows and values, their robust z-score, and the share of the batch gradient that is theirs.",
        fix="Correct or clip them, take the logarithm, or use a robust loss such as optax.losses.huber_loss.",
        false_alarm="Long tails may be genuine: it is a remark unless those rows make up most of the gradient.",
        part="data",
        proof="statistical",
        explains=(
            *LARGE,
            "learning-rate-too-high",
            "over-clipping",
            "exploding-activation",
            "unscaled-target",
            "train-test-preprocessing-mismatch",
        ),
    ),
    Page(
        "duplicate-examples",
        group=GROUP,
        kind="cause",
        meaning="rows repeated within a split more often than chance explains",
        symptom=(
            "The training loss is better than expected for what was learnt; counts of rows are higher than those "
            "of cases."
        ),
        cause="Rows were copied by a join, by oversampling, or by reading a file twice.",
        evidence="The share of rows that repeat, how many chance would repeat, and the largest group.",
        fix="Drop the copies before splitting; to weigh a row more, use a weight and not copies.",
        false_alarm=(
            "With few possible values rows repeat by nature: the number is compared with that expected from the "
            "columns' frequencies."
        ),
        part="data",
        proof="statistical",
    ),
    Page(
        "unshuffled-data",
        group=GROUP,
        kind="cause",
        meaning="batches follow the order of the classes or of the file",
        symptom=(
            "The loss saws up and down with the position in the epoch; the last classes of the file are "
            "predicted too often."
        ),
        cause="Batches follow the file, which is sorted by class, by time or by source.",
        evidence="Classes of three batches beside those of the whole split, and how unlikely that is by chance.",
        fix="Shuffle the rows anew in each epoch, before they are cut into batches.",
        change=(
            "- order = np.arange(rows)",
            "+ order = np.random.default_rng([seed, epoch]).permutation(rows)",
        ),
        false_alarm=(
            "A curriculum and batches grouped by length are chosen. Very small batches hold few classes by "
            "chance, which the test allows for."
        ),
        part="batches",
        proof="statistical",
        explains=(
            *LARGE,
            *POOR,
            "single-class-labels",
            "learning-rate-too-high",
            "batch-size-too-small",
            "overfitting",
        ),
    ),
    Page(
        "class-imbalance",
        group=GROUP,
        kind="cause",
        meaning="rare classes are not learnt because frequent ones dominate",
        symptom="Accuracy equals the share of the largest class; the rare classes are never predicted.",
        cause="The loss counts each row alike, so that ignoring a rare class costs next to nothing.",
        evidence="Rows by class, recall by class, and the accuracy of always giving the commonest class.",
        fix=(
            "Weigh the classes in the loss, or sample them evenly, and judge by balanced accuracy or average precision."
        ),
        change=(
            "- losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)",
            "+ losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)",
            "+ losses = losses * (rows / (classes * counts))[labels]",
        ),
        false_alarm=(
            "Imbalance that is learnt is no fault: counts alone never alarm, only rare classes that are missed."
        ),
        part="loss",
        proof="counterfactual",
        explains=("majority-class-collapse", "no-better-than-baseline", "underfitting"),
    ),
    Page(
        "input-wrong-layout",
        group=GROUP,
        kind="cause",
        meaning="axes of the input are not in the order that the model expects",
        symptom="A convolutional network trains slowly and poorly, or uses far more memory than expected.",
        cause="Images come as (batch, channels, height, width), and Flax expects (batch, height, width, channels).",
        evidence=(
            "The shape of the input, the layout that the first convolution declares, and along which axis "
            "neighbours are alike."
        ),
        fix="Transpose the images, or tell the convolution the layout.",
        change=(
            "- logits = model.apply(params, images)",
            "+ logits = model.apply(params, images.transpose(0, 2, 3, 1))",
        ),
        false_alarm="Spectrograms and feature maps may have many channels: two signs must agree.",
        part="data",
        proof="statistical",
        explains=(*POOR, "insufficient-capacity", "excessive-downsampling"),
    ),
    Page(
        "integer-input",
        group=GROUP,
        kind="cause",
        meaning="integer inputs where floating point is needed",
        symptom="Inputs of 0 to 255 train poorly, or arithmetic on uint8 wraps round.",
        cause="The file holds integers, which were never turned into floating point.",
        evidence="The type, and the first operation that takes it.",
        fix="Cast before any arithmetic, and scale.",
        change=(
            "- inputs = images - 128  # uint8: wraps round",
            "+ inputs = images.astype(np.float32) / 255",
        ),
        false_alarm="Tokens and categories that are looked up in a table are integers by right.",
        part="data",
        proof="exact",
        explains=(
            "input-not-normalized",
            "dtype-promotion",
            "constant-feature",
            "underfitting",
        ),
    ),
    Page(
        "distribution-shift",
        group=GROUP,
        kind="cause",
        meaning="training and test inputs follow different laws",
        symptom="The score on validation rows is good, that on test rows is not.",
        cause="The two splits come from other times, places or instruments.",
        evidence=(
            "The columns that differ most, with a two-sample test for each, and how well a classifier tells the "
            "splits apart."
        ),
        fix=(
            "Split so that the test rows are like those to come; otherwise reweight, collect more, or say for "
            "whom the score holds."
        ),
        false_alarm=(
            "Splits by time drift by nature: then the score is right for the later time, and this is worth knowing."
        ),
        part="data",
        proof="statistical",
        explains=("no-better-than-baseline", "majority-class-collapse", "overfitting", "miscalibration"),
    ),
    Page(
        "train-test-preprocessing-mismatch",
        group=GROUP,
        kind="cause",
        meaning="training and test inputs went through different transforms",
        symptom="Training goes well, and the test score is near chance.",
        cause=(
            "Test rows went through another transform than training rows: not scaled, scaled by their own "
            "numbers, or scaled twice."
        ),
        evidence=(
            "Mean, deviation and range by split, and the one simple map (a factor, a standardisation) that makes "
            "them agree."
        ),
        fix="Fit the transform on the training rows once and apply that same object to every split, and at serving.",
        change=(
            "- test = (test - test.mean(0)) / test.std(0)",
            "+ test = (test - train.mean(0)) / train.std(0)",
        ),
        false_alarm="Small test splits differ by chance: at least 30 rows are needed.",
        part="data",
        proof="statistical",
        explains=(
            "distribution-shift",
            "no-better-than-baseline",
            "majority-class-collapse",
            "overfitting",
            "miscalibration",
            "missing-preprocessing-in-export",
            "constant-feature",
        ),
    ),
    Page(
        "preprocessing-fit-on-test",
        group=GROUP,
        kind="cause",
        meaning="scalers or selectors were fitted on test rows too",
        symptom="Scores that are a little better than they will be in use.",
        cause="A scaler, an imputation or a selection of columns was fitted on all rows, before the split.",
        evidence="Mean and deviation of the training rows alone and of all rows together, which are 0 and 1.",
        fix="Split first, and fit on the training rows only.",
        change=(
            "- table = StandardScaler().fit_transform(table)",
            "- train, test = split(table)",
            "+ train, test = split(table)",
            "+ scaler = StandardScaler().fit(train)",
        ),
        false_alarm=(
            "The effect of scaling is small, and where the test inputs are known in advance it may be meant: a remark."
        ),
        part="data",
        proof="exact",
    ),
    Page(
        "categorical-as-number",
        group=GROUP,
        kind="cause",
        meaning="categories coded as whole numbers are fed as numbers",
        symptom="A linear first layer treats category 7 as seven times category 1.",
        cause="Categories are coded as whole numbers and fed as one column.",
        evidence="The columns whose values are categories.",
        fix="Turn them into one column for each category, or look them up in an embedding.",
        change=(
            '- data = vx.data.from_csv("table.csv", target="label")',
            '+ data = vx.data.from_csv("table.csv", target="label").preprocess(vx.data.one_hot())',
        ),
        false_alarm="Ordered grades may be fed as numbers.",
        part="data",
        proof="exact",
    ),
    Page(
        "category-unseen-in-train",
        group=GROUP,
        kind="cause",
        meaning="a category occurs that training never showed",
        symptom="Rows with a category that training never showed are predicted as if it were none.",
        cause="The category is rare, or came later.",
        evidence="Column, category, and the first row that holds it.",
        fix="Put such rows into training, or group rare categories.",
        false_alarm="Its effect is not learnt, and that is all: a remark.",
        part="data",
        proof="exact",
    ),
    Page(
        "token-unseen-in-train",
        group=GROUP,
        kind="cause",
        meaning="a token occurs that the vocabulary does not hold",
        symptom="A sequence cannot be coded.",
        cause="The vocabulary was made from the training text, and another split holds a token beyond it.",
        evidence="The token and its position.",
        fix="Make the vocabulary from all characters that may occur, or add a token for the unknown.",
        false_alarm="None: the row of the embedding does not exist.",
        part="data",
        proof="exact",
    ),
)
