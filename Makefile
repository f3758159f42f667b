# make masters        make masters of frames/ (or of an example session)
# make dag            draw the plan to output/pictures
# make watch          make masters each time frames have arrived and the folder is quiet
# make test           run the tests, but those that run Snakemake very often
# make test-fast      run the tests of decisions and one of the workflow, in a minute
# make test-all       run all tests (add test-browser and test-slurm)
# make test-browser   test the report in a real browser (Chromium), if there is one
# make test-lowest    run the tests with the lowest versions that pyproject.toml allows (Python 3.11)
# make test-newest    run the tests with the newest versions there are
# make test-slurm     test masters on a Slurm cluster of one node, if Slurm is installed
# make soak           a thousand runs with random changes, kills and full disks between (hours)
# make fuzz           test the readers with changed and damaged files, for five minutes
# make mutate         change MODULE=calmasters/….py in many small ways: do the tests see it?
# make coverage       which branches of the library do the tests run? docs/coverage.md
# make bench          measure, and print today's ratios beside those of the last release
# make docs           build the documentation as a site in build/site
# make links          check the links of the documentation to other sites
# make check          check format, lint, types
# make format         format the code, fix lint errors
# make lock           choose the versions of constraints.txt again
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

# Without bytecode, each of some thousand processes of the tests would compile the library again.
unexport PYTHONDONTWRITEBYTECODE

# The tests that need neither a browser nor a cluster. Many wait for programs: four processes keep two
# cores busy. One that has no tests left takes some from the others.
HERE := --numprocesses 4 --dist worksteal --quiet --ignore tests/browser --ignore tests/slurm
# Those that do not run Snakemake very often.
QUICK := $(HERE) -m "not slow"
# What starts few programs and makes few masters; one test of the workflow, and a few of the engines.
FAST := $(addprefix tests/,commands console headers images inventory model mutation planning \
	engines/test_early_checks.py engines/test_registry.py engines/test_result_warnings.py \
	workflow/test_run_properties.py) \
	$(filter-out %_changes.py %_gain.py %_judgements.py %_telegraph.py %_verification.py, \
	$(wildcard tests/quality/test_*.py)) \
	$(filter-out %_benchmarks.py %_makefile.py,$(wildcard tests/test_*.py))

.PHONY: masters dag watch test test-fast test-all test-browser test-lowest test-newest test-slurm fuzz
.PHONY: bench soak mutate coverage docs links check format lock environment clean

masters: $(VENV)/ready
	test -d frames || $(BIN)/python -m calmasters.synthetic frames
	$(BIN)/snakemake --cores all masters

dag: $(VENV)/ready
	$(BIN)/python -m calmasters.commands.draw_plan output/pictures $(BIN)/snakemake masters

watch: $(VENV)/ready
	$(BIN)/calmasters watch frames

test: $(VENV)/ready
	$(BIN)/pytest $(QUICK)

test-fast: $(VENV)/ready
	$(BIN)/pytest $(QUICK) $(FAST)

# Each run of Snakemake, and each of its jobs, in a Python that is started for it.
test-all: $(VENV)/ready
	CALMASTERS_COLD_PYTHON=1 $(BIN)/pytest $(HERE)

# What only one kind of tests needs is large (playwright), or slows others down: each start of
# Snakemake imports all plugins that it finds. So each has a folder of its own.
BROWSER := $(VENV)/browser

$(BROWSER): $(VENV)/ready
	rm -rf $@ $@.new
	$(BIN)/python -m pip install --quiet --target $@.new playwright==1.65.2
	mv $@.new $@

test-browser: $(BROWSER)
	PYTHONPATH=$(CURDIR)/$(BROWSER) $(BIN)/pytest --quiet tests/browser

# Each has an environment of its own. uv chooses its versions: pip would try old ones of some packages
# for half an hour. Python 3.11 has wheels of all of the lowest versions.
test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest: test-%: $(VENV)/ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m venv --clear $(VENV)-$*
	$(BIN)/uv pip compile --quiet --resolution $(RESOLUTION) --extra dev pyproject.toml \
		--output-file $(VENV)-$*/versions.txt
	$(VENV)-$*/bin/python -m pip install --quiet --constraint $(VENV)-$*/versions.txt \
		--editable .[dev]
	$(VENV)-$*/bin/python -m calmasters.engines.native
	$(VENV)-$*/bin/pytest $(QUICK)

SLURM := $(VENV)/slurm

$(SLURM): $(VENV)/ready
	rm -rf $@ $@.new
	$(BIN)/python -m pip install --quiet --no-deps --target $@.new \
		snakemake-executor-plugin-slurm==2.8.0 snakemake-executor-plugin-slurm-jobstep==0.6.1
	mv $@.new $@

test-slurm: $(SLURM)
	PYTHONPATH=$(CURDIR)/$(SLURM) $(BIN)/pytest --quiet tests/slurm

fuzz: $(VENV)/ready
	$(BIN)/python tests/hostile/fuzz.py --seconds 300 --keep tests/hostile/findings

bench: $(VENV)/ready
	$(BIN)/python benchmarks/ratios.py

soak: $(VENV)/ready
	PYTHONPATH=tests/workflow $(BIN)/python tests/soak/soak.py --runs 1000

# MODULE is one module or several, SAMPLE a number of mutants of each.
mutate: $(VENV)/ready
	$(BIN)/python tests/mutation/mutate.py $(if $(SAMPLE),--sample $(SAMPLE)) \
		$(or $(MODULE),$(error make mutate MODULE=calmasters/headers/nights.py))

# The library's branches, in all processes that the tests start. pyproject.toml says what counts.
coverage: $(VENV)/ready
	rm -rf build/coverage
	$(BIN)/python -m coverage run -m pytest $(QUICK)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage html --quiet --directory build/coverage/html
	$(BIN)/python -m coverage report --skip-covered --sort cover

# Each build begins from nothing: Sphinx warns only of pages that it reads.
docs: $(VENV)/docs
	rm -rf build/site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . build/site
	@echo "Open build/site/index.html"

links: $(VENV)/docs
	$(BIN)/python -m sphinx --quiet -b linkcheck --conf-dir docs . build/links

$(VENV)/docs: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[docs]
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

# One file for all systems and versions of Python, which pip takes as constraints.
lock: $(VENV)/ready
	$(BIN)/python -m pip install --quiet uv
	rm -f constraints.txt
	$(BIN)/uv pip compile --quiet --universal --no-annotate --python-version 3.11 --extra dev --extra docs \
		--custom-compile-command "make lock" pyproject.toml --output-file constraints.txt

environment: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[dev]
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
	rm -rf $(VENV) .venv-lowest .venv-newest .snakemake output build docs/generated
