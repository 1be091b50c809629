# Each target makes the virtual environment first, if there is none; the
# packages are installed anew only when the files that name them change.
#
#   make demo       the real CT slice of the README, reconstructed
#   make test       the tests, in JOBS processes (auto); ARGS='-k adjoint' goes
#                   to pytest
#   make test-fast  the same laws on fewer cases, in at most 90 seconds
#   make bench      one table of speed beside peers, in ten minutes at most
#   make bench-operators   speed of the operators, as ratios
#   make bench-loop        the training loop beside a bare one of torch
#   make bench-network   speed of whole networks: ten minutes, 6 GB
#   make docs       the documentation, with the examples run, in build/docs
#   make theory-table    a table of the errors that the tests of theory measure
#   make scores     all scores of shipped models in the documentation: half an
#                   hour on one core
#   make lint       style of code and docstrings
#   make install    the environment alone
#
# Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= auto

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --prefer-binary
METADATA := setup.cfg pyproject.toml constraints.txt

.DELETE_ON_ERROR:
.PHONY: install demo test test-fast docs bench bench-loop bench-network \
    bench-operators theory-table scores lint clean

install: $(VENV)/.installed-base
	@:

demo: $(VENV)/.installed-demo
	@$(PY) examples/quickstart.py $(ARGS)

test: $(VENV)/.installed-test
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) $(ARGS)

# Two cases of each test, the first and the last. Examples are whole programs.
test-fast: $(VENV)/.installed-test
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --cases 1 \
	    -m 'not slow and not cuda' tests --ignore tests/examples $(ARGS)

docs: $(VENV)/.installed-docs
	@$(PY) -m sphinx -b html -W --keep-going -n -q -d build/docs/doctrees \
	    docs build/docs/html $(ARGS)
	@echo 'Start reading at build/docs/html/index.html'

bench: $(VENV)/.installed-demo
	@$(PY) benchmarks/overview.py $(ARGS)

bench-loop: $(VENV)/.installed-test
	@$(PY) benchmarks/training.py $(ARGS)

bench-operators: $(VENV)/.installed-base
	@$(PY) benchmarks/import_time.py
	@$(PY) benchmarks/operators.py $(ARGS)

bench-network: $(VENV)/.installed-demo
	@$(PY) benchmarks/unrolled.py $(ARGS)

theory-table: $(VENV)/.installed-test
	@$(PY) -m pytest -q -p no:xdist tests/theory --theory-table docs/theory_table.md

scores: $(VENV)/.installed-docs
	@$(PY) examples/scores/shipped_models.py
	@$(PY) examples/quickstart.py --output docs/images/quickstart.png \
	    --json docs/results/quickstart.json
	@$(PY) examples/scores/readme.py
	@$(PY) examples/scores/units.py

lint: $(VENV)/.installed-test
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

clean:
	rm -rf build odl_equivariant.egg-info .mypy_cache .pytest_cache .ruff_cache \
	    docs/gallery docs/api/generated docs/models/generated

$(VENV)/.installed-base: EXTRAS :=
$(VENV)/.installed-demo: EXTRAS := [plots,data,metrics]
$(VENV)/.installed-docs: EXTRAS := [docs]
$(VENV)/.installed-test: EXTRAS := [all]

# escnn without its requirements, see setup.cfg; pip would report them as
# missing at each later call.
$(VENV)/.installed-%: $(METADATA) | $(PY)
	$(PIP) --no-warn-conflicts -c constraints.txt -e '.$(EXTRAS)'
	$(PIP) --no-deps escnn==1.0.11
	@touch $@

$(PY):
	@command -v $(PYTHON) >/dev/null || { \
	    echo 'There is no command `$(PYTHON)`. Name a Python of version' \
	        '3.11 or later: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'odl_equivariant needs Python 3.11 or later, and' \
	        '`$(PYTHON)` is' "$$($(PYTHON) -V 2>&1)." \
	        'Name another one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo '`$(PYTHON)` cannot make virtual environments. On Debian and' \
	        'Ubuntu: apt install python3-venv (for another Python,' \
	        'python3.X-venv); then call make again.' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
