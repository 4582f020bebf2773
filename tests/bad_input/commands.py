"""Command lines that are wrong. `{files}` is the folder that `files.py` fills, `{out}` a path where nothing is."""

from typing import NamedTuple

from tests.bad_input.experiments import WRONG


class Command(NamedTuple):
    name: str
    words: str
    said: tuple[str, ...]
    fault: str = ""  # the row of `WRONG` to take
    environment: str = ""  # a variable and its value


EXPERIMENTS = tuple(Command(name, "train {experiments} --out {out}", row.said, name) for name, row in WRONG.items())


def _train(name: str, words: str, *said: str) -> Command:
    return Command(name, f"train {words} --out {{out}}", said)


FILES = (
    _train("no such file", "{files}/gone.py", r"gone\.py does not exist", r"defines experiment\(\.\.\.\)"),
    _train("a folder as file", "{files}/a_folder.py", r"a_folder\.py .*(folder|directory)", "Python"),
    _train("a file that is not Python", "{files}/notes.txt", "expected a Python file", r"got '.*notes\.txt'"),
    _train("a file with a syntax error", "{files}/syntax.py", r"syntax\.py:1: not valid Python: invalid syntax"),
    _train("a file in another encoding", "{files}/latin.py", r"latin\.py cannot be read as Python source", "utf-8"),
    _train(
        "a file that fails when it is loaded",
        "{files}/raising.py",
        "error in your own code",
        r'raising\.py", line 2',
        r'names\["widht"\]',
        "KeyError: 'widht'",
    ),
    _train(
        "a file that imports what is not installed",
        "{files}/importing.py",
        r'importing\.py", line 1',
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
    _train("a file that ends the program", "{files}/exiting.py", r"exiting\.py .*exit", "__main__"),
    _train(
        "a file without experiment",
        "{files}/misnamed.py",
        r"must define a function experiment\(\.\.\.\)",
        "It defines: make_experiment",
    ),
    _train(
        "an experiment that is no function", "{files}/a_value.py", r"must define a function experiment", "no function"
    ),
    _train("an experiment that returns nothing", "{files}/nothing.py", r"must return a vx\.Experiment", "got NoneType"),
    _train(
        "an experiment that fails",
        "{files}/failing.py --hidden 7",
        "error in your own code",
        r'failing\.py", line 2',
        "IndexError: list index out of range",
    ),
    _train("an experiment that needs a value", "{files}/needing.py", "Required options", "--hidden INT"),
    _train(
        "an experiment with an option of Verax",
        "{files}/taking_out.py",
        "must not have a parameter 'out'",
        "Rename it",
    ),
)

HYPERPARAMETERS = (
    _train(
        "an unknown hyperparameter", "{experiments} --hiden 8", "unknown option --hiden", r"Did you mean --hidden\?"
    ),
    _train(
        "an unlike hyperparameter", "{experiments} --momentum 0.9", "unknown option --momentum", "There are: .*--hidden"
    ),
    _train("text for a number", "{experiments} --hidden many", "--hidden", "invalid choice|'many'|many"),
    _train("a fraction for a whole number", "{experiments} --hidden 8.5", "--hidden", r"8\.5"),
    _train("a value that is missing", "{experiments} --hidden", "--hidden", "expected|missing|argument"),
    _train("a word too many", "{experiments} 8", "unexpected '8'|unrecognized.*8"),
    _train("an unknown choice", "{from_files} --path x --kind parquet", "--kind", "csv", "parquet"),
    Command("no file", "train", ("FILE", "required|Required")),
    Command("no command", "", ("usage: verax COMMAND",)),
    Command("an unknown command", "tarin x.py", ("unknown command 'tarin'", "Did you mean 'train'")),
    Command("an unlike command", "frobnicate", ("unknown command 'frobnicate'", "There are: demo, train")),
)


def _tune(name: str, words: str, *said: str) -> Command:
    return Command(name, f"tune {{experiments}} {words} --out {{out}}", said)


SPACES = (
    _tune("no space", "", "tune needs at least one --space", "--space learning_rate=1e-3,1e-2"),
    _tune(
        "an unknown name in the space", "--space hiden=4,8", "unknown hyperparameter 'hiden'", "Did you mean 'hidden'"
    ),
    _tune("a name without values", "--space hidden=", "--space must be of the form", "got 'hidden='"),
    _tune("nothing between the commas", "--space hidden=,", "'hidden' a list of values to try", r"got \[\]"),
    _tune("a value twice", "--space hidden=4,8,4", "gives 'hidden' a value twice", r"\[4, 8, 4\]"),
    _tune("a name twice", "--space hidden=4 --space hidden=8", "space names 'hidden' twice", "all its values at once"),
    _tune("a value of another type", "--space hidden=4,many", "the values of 'hidden' must be int, got 'many'"),
    _tune(
        "a hyperparameter that changes nothing",
        "--space unused=1,2",
        "'unused' changes nothing",
        "same program and data",
        "Does the experiment function use it",
    ),
    _tune(
        "an unknown objective",
        "--space hidden=4,8 --objective accuracy",
        "objective must be one of validation/loss",
        "got 'accuracy'",
        "Did you mean 'validation/accuracy'",
    ),
    _tune(
        "a test objective",
        "--space hidden=4,8 --objective test/loss",
        "objective must be one of validation/loss",
        "got 'test/loss'",
    ),
    _tune("a metric", "--space hidden=4,8 --metric loss", "unknown option --metric"),
    _tune("an unknown search", "--space hidden=4,8 --search bayes", "search must be one of grid", "got 'bayes'"),
    _tune("a halving by one", "--space hidden=4,8 --prune 1", "factor of a Halving must be .* at least 2, got 1"),
    _tune("no trial", "--space hidden=4,8 --trials 0", "trials must be a whole number of at least 1, got 0"),
    _tune(
        "no generation", "--space hidden=4,8 --generation 0", "generation must be a whole number of at least 1, got 0"
    ),
    _tune("an unknown executor", "--space hidden=4,8 --executor slurm", "executor must be one of local", "got 'slurm'"),
    _tune(
        "a storage of no kind", "--space hidden=4,8 --storage nothing://x", "the storage 'nothing://x'", "sqlite:///"
    ),
    _tune("a grid of an interval", "--space hidden=int(4,8) --search grid", "a grid needs lists", "'hidden' is int_"),
    _tune("an interval of another type", "--space hidden=log(4,8)", "'hidden' must be int", "Give int or logint"),
    _tune("an interval with one end", "--space hidden=int(4)", r"int\(LOW,HIGH\) takes two numbers", r"got 'int\(4\)'"),
    _tune("an interval of words", "--space hidden=int(4,few)", "takes two whole numbers", r"got 'int\(4,few\)'"),
    _tune("an interval upside down", "--space hidden=int(8,4)", "the lower first, got 8 and 4"),
    _tune("an unknown interval", "--space hidden=lin(4,8)", "'hidden' must be int, got 'lin", r"uniform\(LOW,HIGH\)"),
    Command(
        "a search without a validation split",
        "tune {experiments} --space unused=1 --out {out}",
        ("no validation split", r"\.split\(\)"),
        "stopping without a validation split",
    ),
    Command(
        "a search over a broken network",
        "tune {experiments} --space hidden=4,8 --out {out}",
        ("the network Mismatched fails", r"got \(4,\) and \(7,\)", r"networks\.py, line"),
        "a matrix that does not fit the inputs",
    ),
    Command(
        "a search over wrong labels",
        "tune {experiments} --space hidden=4,8 --out {out}",
        ("labels must be integer classes", r"argmax\(-1\)"),
        "one-hot labels",
    ),
)

COMMANDS = (*EXPERIMENTS, *FILES, *HYPERPARAMETERS, *SPACES)
