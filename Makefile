# Every target works on a fresh machine with Python 3.11+ (with venv) and make.

PYTHON ?= python3
MINUTES ?= 60
JOBS ?= 2
BIN = .venv/bin
INSTALLED = .venv/installed

.PHONY: demo test lint bench bench-gpu docs release clean

demo: $(INSTALLED)
	$(BIN)/python -m benchmarks.demo

# Two parts, one after the other: TensorFlow keeps some memory of every compiled run.
PYTEST = $(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadgroup \
	--cov=color_s4l --cov=colorization --durations=10

test: $(INSTALLED)
	$(PYTEST) --ignore=tests/training --ignore-glob='tests/test_*' --cov-report=
	$(PYTEST) tests/training tests/test_*.py --cov-append --cov-report=term:skip-covered

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.error_rates $(ARGS)

bench-gpu: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[bench,gpu]'
	$(BIN)/python -m benchmarks.gpu --minutes=$(MINUTES) $(ARGS)

docs: $(INSTALLED)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "open build/docs/index.html"

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Builds and checks the files of a release; uploads nothing.
release: $(INSTALLED)
	$(BIN)/python -m pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

$(INSTALLED): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[bench,dev,docs,jax,compare]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
