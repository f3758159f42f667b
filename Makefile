# make masters        make masters of frames/ (or of an example session)
# make dag            draw the plan to output/pictures
# make watch          make masters each time frames have arrived and the folder is quiet
# make test           run the tests, but those that run Snakemake very often
# make test-all       run all tests (add test-browser and test-slurm)
# make test-browser   test the report in a real browser (Chromium), if there is one
# make test-slurm     test masters on a Slurm cluster of one node, if Slurm is installed
# make soak           a thousand runs with random changes, kills and full disks between (hours)
# make fuzz           test the readers with changed and damaged files, for five minutes
# make docs           build the documentation as a site in build/site
# make check          check format, lint, types
# make format         format the code, fix lint errors
#
# .venv is made with $(PYTHON): make PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The version of Python that was asked for, such as [3, 12]; empty for any.
VERSION := $(if $(filter file,$(origin PYTHON)),,$(shell $(PYTHON) -c \
	'import sys; print(list(sys.version_info[:2]))'))
# Whether .venv was made in this folder, and its Python works, is of the right version and has pip.
USABLE := $(shell grep -qsF '$(CURDIR)/$(VENV)' $(VENV)/pyvenv.cfg && $(BIN)/python -c \
	'import pip, sys; v = list(sys.version_info[:2]); sys.exit(v < [3, 11] or v != $(or $(VERSION),v))' \
	2> /dev/null && echo yes)

.PHONY: masters dag watch test test-all test-browser test-slurm fuzz soak docs check format environment \
	clean

masters: $(VENV)/ready
	test -d frames || $(BIN)/python -m calmasters.synthetic frames
	$(BIN)/snakemake --cores all masters

dag: $(VENV)/ready
	$(BIN)/python -m calmasters.commands.draw_plan output/pictures $(BIN)/snakemake masters

watch: $(VENV)/ready
	$(BIN)/calmasters watch frames

test: $(VENV)/ready
	$(BIN)/pytest --numprocesses 2 --quiet --ignore tests/browser --ignore tests/slurm -m "not slow"

test-all: $(VENV)/ready
	$(BIN)/pytest --numprocesses 2 --quiet --ignore tests/browser --ignore tests/slurm

test-browser: $(VENV)/ready
	$(BIN)/pytest --quiet tests/browser

# The plugin has a folder of its own: each start of Snakemake imports all plugins that it finds.
SLURM := $(VENV)/slurm

$(SLURM): $(VENV)/ready
	rm -rf $@ $@.new
	$(BIN)/python -m pip install --quiet --no-deps --target $@.new \
		snakemake-executor-plugin-slurm==2.8.0 snakemake-executor-plugin-slurm-jobstep==0.6.1
	mv $@.new $@

test-slurm: $(SLURM)
	PYTHONPATH=$(CURDIR)/$(SLURM) $(BIN)/pytest --quiet tests/slurm

fuzz: $(VENV)/ready
	$(BIN)/python tests/hostile/fuzz.py --seconds 300

soak: $(VENV)/ready
	PYTHONPATH=tests/workflow $(BIN)/python tests/soak/soak.py --runs 1000

# Each build begins from nothing: Sphinx warns only of pages that it reads.
docs: $(VENV)/docs
	rm -rf build/site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . build/site
	@echo "Open build/site/index.html"

$(VENV)/docs: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable .[docs]
	touch $@

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

$(VENV)/ready: pyproject.toml $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .[dev]
	$(BIN)/python -m calmasters.engines.native
	touch $@

ifneq ($(USABLE),yes)
.PHONY: $(VENV)/pyvenv.cfg
endif
$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is Python %d.%d; \
	calmasters needs 3.11 or later: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)

clean:
	rm -rf $(VENV) .snakemake output build docs/generated
