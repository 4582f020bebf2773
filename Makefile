# Needs make and Python 3.11 or newer with its venv module; everything else goes into .venv.
#   make demo    train, check and certify a network on handwritten digits; prints where the report is
#   make test    install what the tests need, then lint, types, doctests and tests
#   make bench-faults    the doctor on the programs in the folder FAULTBENCH, beside the rules of other monitors
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO ?= runs/demo
FAULTBENCH ?= ../shared/faultbench
# Where tests marked `compiler` are, and what is run once more on the newest Python: each public tool at least once.
COMPILED := tests/debug tests/evaluate tests/export tests/jaxpr tests/train
CORE := tests/jaxpr tests/network tests/models/test_models.py tests/test_trees.py \
	$(addprefix tests/train/test_,fit.py loop.py objective.py optimizer.py saved.py) \
	$(addprefix tests/export/test_,load.py reload.py save.py) \
	$(addprefix tests/debug/test_,check_loss.py key_reuse.py nonfinite.py purity.py recompilation.py) \
	$(addprefix tests/tune/test_,lanes.py trace.py) \
	tests/doctor/test_faultbench.py

.PHONY: demo test check types doctests core slow bench-faults format stub pages clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/verax demo --out $(DEMO)
	@echo "The report: $(abspath $(DEMO)/report.html)"

test: $(VENV)/installed-for-tests
	@$(MAKE) --no-print-directory check

# The same without looking at what is installed; `make check BIN=...` uses another environment.
check:
	@test -x $(BIN)/python || { echo "There is no $(BIN)/python yet. Run: make test"; exit 2; }
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m verax lint --markdown src examples benchmarks docs README.md
	@$(MAKE) --no-print-directory -j2 types doctests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not compiler" tests
	XLA_FLAGS= $(BIN)/python -m pytest -n 2 --dist loadfile -m "compiler and not slow" $(COMPILED)

types:
	$(BIN)/pyright --pythonpath $(BIN)/python

doctests:
	$(BIN)/python -m pytest -q --doctest-modules src/verax

# The long forms of what `make test` runs in short ones: published results, certificates of every kind, many schedules.
slow: $(VENV)/installed-for-tests
	XLA_FLAGS= $(BIN)/python -m pytest -n 2 --dist loadfile -m slow tests

# What a newer JAX or Flax may change: every public tool once, with the compiler that users have.
core:
	XLA_FLAGS= $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not browser" $(CORE)

# Detection, places and false alarms over a folder in the faultbench format; a quarter of an hour on two cores.
bench-faults: $(VENV)/installed-for-tests
	@test -d $(FAULTBENCH) || { echo "There is no folder $(FAULTBENCH). Run: make bench-faults FAULTBENCH=path/to/cases"; exit 2; }
	$(BIN)/python benchmarks/faultbench.py $(FAULTBENCH)

format: $(VENV)/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Renews src/verax/__init__.pyi after a public name came or went.
stub: $(VENV)/installed-for-tests
	$(BIN)/python tests/test_stub.py

# Renews docs/diagnoses/ after a page of the catalogue changed.
pages: $(VENV)/installed-for-tests
	$(BIN)/python tests/doctor/test_pages.py
	$(BIN)/python tests/lint/test_pages.py
	$(BIN)/python tests/lint/test_snippets.py

clean:
	rm -rf $(VENV) .venv-new .cache build dist .pytest_cache .ruff_cache .verax_cache
	find . -name __pycache__ -not -path "./.git/*" -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Verax needs Python 3.11 or newer. Run: make PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Verax needs Python 3.11 or newer, $(PYTHON) is %d.%d. Run: make PYTHON=/path/to/python3" % v[:2])'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made. On Debian, run: apt-get install python3-venv"; exit 2; }

# Stamps: one for what a user needs, one for what the tests need. The package is installed in place, so edits count at once.
$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "Installing Verax into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-for-tests: pyproject.toml | $(BIN)/python
	@echo "Installing Verax and its tests into $(VENV) ..."
	@$(PIP) --editable ".[test]"
	@touch $@ $(VENV)/installed
