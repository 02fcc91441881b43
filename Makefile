# One virtual environment an interpreter: .venv for the default one,
# .venv-NAME for `make PYTHON=NAME ...`. It is made when it is missing and made
# again when the requirements change; otherwise a target starts at once.
PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV := .venv
else
VENV := .venv-$(notdir $(PYTHON))
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes of the tests, each of up to 5 GB.
JOBS ?= 2
REAL_DATA_NOTE = "LUMBAR_REAL_DATA is not set: the real-data tests will be skipped"

.PHONY: help setup demo test corpus verify lint format clean

help:
	@echo "make setup   once: the virtual environment ($(VENV)); the others make it too"
	@echo "make demo    a phantom data set, trained, evaluated, reported: runs/demo/report.html"
	@echo "make test    the test suite"
	@echo "make corpus  every bad or odd input there is: docs/robustness.md"
	@echo "make verify  every network against golden forward passes and counts; overfitting"
	@echo "make lint    ruff, check and format"
	@echo "JOBS=4 runs the tests in 4 processes instead of 2"
	@echo "PYTHON=python3.12 picks another interpreter (3.11 to 3.13)"

setup: $(READY)

$(READY): requirements.txt requirements-cluster.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "PYTHON=$(PYTHON) does not run here or is not Python 3.11 to 3.13: give another"; exit 1; }
	@echo "making $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(READY)
	$(BIN)/python launch.py --config=configs/demo.py --workdir=runs/demo

test: $(READY)
	@[ -n "$$LUMBAR_REAL_DATA" ] || echo $(REAL_DATA_NOTE)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

corpus: $(READY)
	$(BIN)/python tests/corpus/run.py

verify: $(READY)
	$(BIN)/python experiments/verify_architectures.py
	$(BIN)/python experiments/verify_counts.py
	$(BIN)/python experiments/verify_folding.py
	$(BIN)/python experiments/overfit_topologies.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-* runs .hypothesis .pytest_cache .ruff_cache
