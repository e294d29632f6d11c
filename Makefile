# Two commands matter: `make demo` (a virtual walk, classified live) and `make test` (everything is right).
# PYTHON chooses the interpreter: make demo PYTHON=python3.13

PYTHON ?= python3
EDGE   := .venv
DEV    := .venv-dev
# The stamp carries the interpreter's version: another PYTHON makes the environment anew.
STAMP  := .done-$(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')

.PHONY: demo test bench soak format lint wheels-aarch64 clean

# Wheels only: where a dependency had none, installing would need a compiler, and shall fail here, not on a Pi.
# (The project itself is built from this checkout; a build of pure Python needs none.)
$(EDGE)/$(STAMP): pyproject.toml
	$(PYTHON) -m venv --clear $(EDGE)
	$(EDGE)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -e .
	touch $@

$(DEV)/$(STAMP): pyproject.toml
	$(PYTHON) -m venv --clear $(DEV)
	$(DEV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

demo: $(EDGE)/$(STAMP)
	$(EDGE)/bin/frailedge live --virtual --walker robust --then frail --then-after-s 40 --duration-s 80

# Four at a time, for two processors: a third of the tests wait, for a radio or a clock. A file stays together, its
# fixtures are made once. In the order of the folders: files of few tests hold the longest ones, which at the end would
# keep one process busy alone. Bytecode is kept: hundreds of tests start a process, and would compile all modules anew.
test: $(DEV)/$(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(DEV)/bin/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

bench: $(DEV)/$(STAMP)
	$(DEV)/bin/python -m tests.benchmarks

soak: $(DEV)/$(STAMP)
	$(DEV)/bin/python -m pytest -m soak -s --timeout 3600

format: $(DEV)/$(STAMP)
	$(DEV)/bin/ruff format .
	$(DEV)/bin/ruff check --fix .

lint: $(DEV)/$(STAMP)
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

# What a Pi has to install must exist as wheels for its processor: Raspberry Pi OS bookworm has 3.11, trixie 3.13.
wheels-aarch64: $(DEV)/$(STAMP)
	$(DEV)/bin/python -m tests.wheels_aarch64 3.11 3.13

clean:
	rm -rf $(EDGE) $(DEV)
