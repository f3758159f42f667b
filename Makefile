# make masters   the example session (or your frames/) to calibration masters
# make dag       pictures of the plan in output/pictures
# make watch     masters again whenever frames have arrived and nothing more comes
# make test      the tests
# make test-browser   the report in a real browser (Chromium); skips where there is none
# make test-slurm     masters by a Slurm cluster of one node; skips where Slurm is not installed
# make fuzz      the readers on changed and damaged files, for five minutes
# make check     format, lint, types
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: masters dag watch test test-browser test-slurm fuzz check format environment clean

masters: $(VENV)/ready
	test -d frames || $(BIN)/python -m calmasters.synthetic frames
	$(BIN)/snakemake --cores all masters

dag: $(VENV)/ready
	$(BIN)/python -m calmasters.commands.draw_plan output/pictures $(BIN)/snakemake masters

watch: $(VENV)/ready
	$(BIN)/python -m calmasters.commands.watch frames $(BIN)/snakemake --cores all masters

test: $(VENV)/ready
	$(BIN)/pytest --numprocesses 2 --quiet --ignore tests/browser --ignore tests/slurm

test-browser: $(VENV)/ready
	$(BIN)/pytest --quiet tests/browser

# The plugin stays in $(VENV), where each start of Snakemake imports it.
test-slurm: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable .[slurm]
	$(BIN)/pytest --quiet tests/slurm

fuzz: $(VENV)/ready
	$(BIN)/python tests/hostile/fuzz.py --seconds 300

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check .
	$(BIN)/python tests/lint_workflow.py

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt .

environment: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .[dev]
	$(BIN)/python -m calmasters.engines.native
	touch $@

clean:
	rm -rf $(VENV) .snakemake output
