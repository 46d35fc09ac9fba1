# Debian and Ubuntu: apt-get install make git python3-venv; everything else is installed below .venv.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test check faults promises bench clean

help:  ## Lists the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: .venv/installed  ## Creates .venv with duogen and all that its tests need.

demo: .venv/installed  ## Trains a GAN on real handwritten digits and prints its metrics and its picture's path.
	$(BIN)/duogen train logger=csv

test: .venv/installed  ## Runs the test suite.
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal -m 'not faults and not demo'

check: .venv/installed  ## Runs ruff, the type checker and the checks of the docs.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest --quiet tests/docs

faults: .venv/installed  ## Kills real runs at random instants and continues them.
	$(BIN)/python -m pytest --quiet --numprocesses 2 -m faults tests/faults

promises: .venv/installed  ## Trains the demos at their full budget and holds them to what they promise.
	$(BIN)/python -m pytest --quiet --numprocesses 2 -m demo tests/demo

bench: .venv/installed  ## Measures speed beside hand-written loops and other launchers.
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/vae.py --no-pythae

clean:  ## Removes .venv and all caches; runs stay.
	rm -rf .venv .pytest_cache .ruff_cache dist
