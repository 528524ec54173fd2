# Everything happens in a virtual environment here; nothing outside this folder changes.
#   make demo   install, then count words on every core, lose a worker, and prove the answer right
#   make test   install the test tools too, then run everything
#   make unit   the tests of single parts: seconds
#   make lowest   the tests of parts and contracts with the lowest versions that are named; minutes
#   make simulate SEEDS=1000   so many federations under faults, other ones every day, on two cores
#   make chaos SEEDS=200   so many runs on hosts that really fail, of half a minute each; as root
#   make lint   what CI asks of the text itself
#   make bench  beside Ray, Dask, PySpark, joblib and the standard library: installs them under
#               bench/.venvs, writes bench/RESULTS.md and plots; half an hour
#   make bench-quick   two minutes, without the heavy ones; prints the table (ROUNDS=1: half of it)
#   make bench-placement   cost of placement beside the optimum; needs the spot data (HANSE_SPOT_DATA
#               names its folder), and some twenty minutes of two quiet cores for 200 seeds; one that was
#               interrupted goes on where it was
#   make bench-placement-quick   a look at the same in some minutes: prints, and keeps nothing
# Another Python: make PYTHON=/path/to/python3.12

# The first Python on the path that is new enough; else python3, and the check below says what to do.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c "$(NEW_ENOUGH)" 2>/dev/null && echo "$$p" && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
BENCH := bench/.venvs/light/bin/python -m bench
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Tests and benchmarks start thousands of processes; each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test unit lowest simulate chaos lint bench bench-quick bench-ray bench-placement \
	bench-placement-quick clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/hanse demo

# Most tests wait for processes most of the time: more run at once than there are cores. Each file
# stays together, as its tests may share a node, a cluster or a database. Files go by their folders,
# so the short ones of single parts fill what is left at the end.
AT_ONCE ?= 4
test: $(VENV)/test-tools
	$(BIN)/python -m pytest -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder

unit: $(VENV)/test-tools
	$(BIN)/python -m pytest -q tests/unit

# In an environment of its own, .venv-lowest. CI does not run it: whoever changes a bound does.
lowest: $(VENV)/made
	$(BIN)/python scripts/lowest.py

# Seeds that nobody has run: every day has a million of its own. A night takes SEEDS=100000; FIRST=N
# begins elsewhere.
FIRST ?= $(shell expr $$(date +%s) / 86400 \* 1000000)
simulate: SEEDS ?= 1000
simulate: FIRST := $(FIRST)
simulate: $(VENV)/installed
	@echo "seeds $(FIRST) to $$(($(FIRST) + $(SEEDS) - 1))"
	$(BIN)/python -m hanse.sim --seeds $(FIRST)..$$(($(FIRST) + $(SEEDS))) --jobs 2

# Hosts in network namespaces, so as root. HASTE divides the times by which leases, heartbeats and
# reports are counted; HASTE=1 is as in earnest. What a failed run wrote is in chaos-failed.
HASTE ?= 6
chaos: SEEDS ?= 5
chaos: FIRST := $(FIRST)
chaos: $(VENV)/test-tools
	PYTHONPATH=tests:. $(BIN)/python -m hosts --seeds $(SEEDS) --first $(FIRST) --haste $(HASTE)

lint: $(VENV)/lint-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/made
	"$(PYTHON)" -m bench install
	$(BENCH) run

bench-quick: ROUNDS ?= 2
bench-quick: $(VENV)/made
	"$(PYTHON)" -m bench install light
	$(BENCH) quick --rounds $(ROUNDS)

# Beside plain Ray, on a cluster of three Ray nodes on this machine.
bench-ray: $(VENV)/test-tools
	$(VENV)/bin/python -m bench.on_ray

bench-placement: SEEDS := 200
bench-placement: $(VENV)/installed $(VENV)/pip
	$(PIP) install scipy matplotlib
	cd bench && ../$(BIN)/python -m placement $(SEEDS)

bench-placement-quick: $(VENV)/installed $(VENV)/pip
	$(PIP) install scipy matplotlib
	cd bench && ../$(BIN)/python -m placement quick

clean:
	rm -rf $(VENV) .venv-lowest bench/.venvs bench/results chaos-failed build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamp files: a second call does nothing unless pyproject.toml changed. The install is editable, so
# a changed source needs no new one.
$(VENV)/made:
	@"$(PYTHON)" -c "$(NEW_ENOUGH)" || { \
		echo "Hanse needs Python 3.11 or later, and $(PYTHON) is not that:" >&2; \
		"$(PYTHON)" --version >&2; \
		echo "Install a newer one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment (Debian, Ubuntu: apt install python3-venv)" >&2; \
		exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml
	$(PIP) install --editable .
	@touch $@

# pip reads dependency groups since 25.1.
$(VENV)/pip: $(VENV)/made
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

$(VENV)/test-tools: $(VENV)/installed $(VENV)/pip pyproject.toml
	$(PIP) install --group test
	@touch $@

# mypy reads the types of what the examples and tests import, so those come first.
$(VENV)/lint-tools: $(VENV)/test-tools pyproject.toml
	$(PIP) install --group lint
	@touch $@
