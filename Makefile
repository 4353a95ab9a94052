# Every target makes the environment first when it is missing: `make demo` and `make test` work on a fresh clone.
# Variables: VENV (where the environment is), PYTHON (what makes it), TORCH_INDEX (the address of a package index with another build
# of PyTorch), PHOTOS (what the benchmarks read), KILLS and FILES (see soak), MEMORY_FILES (see bench-transfer).

VENV ?= .venv
ARTICLE_VENV ?= .venv-article
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
TORCH_INDEX ?=
PHOTOS ?= ../shared/data/cats-dogs/train
KILLS ?= 100
FILES ?= 2000
MEMORY_FILES ?= 100000

BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARTICLE_READY := $(ARTICLE_VENV)/.ready

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-photos test test-exports check format wheel docs reference results screenshot messages vendor web-runtime axe check-page soak bench bench-classic bench-transfer bench-peers bench-reading bench-memory bench-scale \
	bench-scratch bench-start bench-step bench-tune bench-serve bench-studio bench-check

help:
	@echo "make demo     trains on the drawn photos that ship with the package, and predicts; needs nothing prepared"
	@echo "make test     runs the tests"
	@echo "make test-exports   installs TensorFlow and JAX in .venv-exports, and tests the exports to LiteRT and Keras"
	@echo "make check    format, lint, types and import rules, changing nothing"
	@echo "make format   formats the code and repairs what the linter can"
	@echo "make wheel    builds dist/tellapart-*.whl, and tries it in an environment of its own"
	@echo "make docs     builds the documentation as a site in site/; a warning is an error"
	@echo "make reference, make results   renew docs/reference/, and benchmarks/RESULTS.md with the table of the README"
	@echo "make messages                  renews the catalogues in translations/ from the code, and compiles them"
	@echo "make vendor                    renews the modules of others that Studio's page uses; needs npm"
	@echo "make web-runtime               renews ONNX Runtime for browsers from its npm package; CHECK=1 only compares; needs npm"
	@echo "make axe                       brings axe-core for the tests of Studio's page; needs npm"
	@echo "make check-page                checks the types of Studio's page with TypeScript; needs npm"
	@echo "make demo-photos               draws the photos of the demo again"
	@echo "make screenshot                renews the pictures of Studio and of a report in the README; needs Chromium"
	@echo "make bench    every benchmark; also bench-classic, -transfer, -peers, -reading, -memory, -start, -step, -serve, -studio, -check"
	@echo "make bench-scratch   what each ingredient of the recipe scratch is worth; takes a day"
	@echo "make bench-tune      what an hour of tellapart tune is worth for the recipe classic; takes two hours"
	@echo "make soak     kills a training process KILLS=$(KILLS) times and resumes it"
	@echo "make setup    only the environment, in $(VENV)"

setup: $(READY)

# PyTorch goes first, so that the build asked for is there before anything else asks for any.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; install one or pass PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[train,backbones,hub,tune,ray,serve,studio,openvino,coreml,dev,docs]'
	@touch $@

demo: $(READY)
	$(BIN)/tellapart demo

demo-photos: $(READY)
	$(BIN)/python -c 'from pathlib import Path; from tellapart.demo import collection as c; \
		Path(c.__file__).with_name(c.ARCHIVE_NAME).write_bytes(c.archive_bytes())'

test: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist loadscope

# Exports whose converters take minutes to install, in an environment of their own.
EXPORTS_VENV ?= .venv-exports
EXPORTS_PIP = $(EXPORTS_VENV)/bin/python -m pip install -qq -c $(EXPORTS_VENV)/constraints.txt
test-exports:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; install one or pass PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(EXPORTS_VENV)
	grep -v '^h5py=' constraints.txt > $(EXPORTS_VENV)/constraints.txt  # TensorFlow wants an earlier one
	$(EXPORTS_PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(EXPORTS_PIP) -e '.[train,litert,dev]' jax
	$(EXPORTS_VENV)/bin/python -m pytest -q tests/export -k "litert or backends"

check: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

wheel: $(READY)
	.ci/check-wheel $(BIN)/python

# The site must not load anything from somebody else's machine.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@! grep -rnoE '<(script|link|img|iframe)[^>]+(src|href)="?(https?:)?//[^>]*' site --include='*.html' || \
		{ echo "make docs: the site loads something from elsewhere" >&2; exit 1; }

reference: $(READY)
	$(BIN)/python docs/make_reference.py

results: $(READY)
	$(BIN)/python benchmarks/make_results.py

messages: $(READY)
	$(BIN)/python translations/make_messages.py

vendor: $(READY)
	$(BIN)/python vendor/npm_packages.py page

web-runtime: $(READY)
	$(BIN)/python vendor/web_runtime.py $(if $(CHECK),--check)

axe: $(READY)
	$(BIN)/python vendor/npm_packages.py tests

check-page: $(READY)
	$(BIN)/python vendor/npm_packages.py types

screenshot: $(READY)
	$(BIN)/python docs/make_screenshot.py

soak: $(READY)
	TELLAPART_TEST_KILLS=$(KILLS) TELLAPART_TEST_FILES=$(FILES) $(BIN)/python -m pytest -q -m soak

bench: bench-classic bench-transfer bench-peers bench-reading bench-memory bench-start bench-step bench-serve bench-studio bench-check

# The article's pipeline runs on TensorFlow, in an environment of its own.
$(ARTICLE_READY): benchmarks/article_requirements.txt
	$(PYTHON) -m venv $(ARTICLE_VENV)
	$(ARTICLE_VENV)/bin/python -m pip install -qq --upgrade pip
	$(ARTICLE_VENV)/bin/python -m pip install -qq -r benchmarks/article_requirements.txt
	@touch $@

bench-classic: $(READY) $(ARTICLE_READY)
	$(BIN)/python benchmarks/bench_classic.py --photos $(PHOTOS) --article-python $(ARTICLE_VENV)/bin/python

bench-transfer: $(READY)
	$(BIN)/python benchmarks/bench_transfer.py --photos $(PHOTOS) --memory-files $(MEMORY_FILES)

bench-peers: $(READY) $(ARTICLE_READY)
	$(BIN)/python benchmarks/bench_peers.py --photos $(PHOTOS) --keras-python $(ARTICLE_VENV)/bin/python

bench-reading: $(READY)
	$(BIN)/python benchmarks/bench_reading.py --photos $(PHOTOS)

bench-memory: $(READY)
	$(BIN)/python benchmarks/bench_memory.py --photos $(PHOTOS)

# Not part of `bench`: every ingredient of the recipe scratch on and off, over seeds, takes a day.
bench-scratch: $(READY)
	$(BIN)/python benchmarks/ablate_scratch.py --photos $(PHOTOS)
	$(BIN)/python benchmarks/folds_scratch.py

# Not part of `bench`: hours, for 100,000 photos are trained on.
bench-scale: $(READY)
	$(BIN)/python benchmarks/bench_scale.py --layouts folders,flat,csv,zip

bench-start: $(READY)
	$(BIN)/python benchmarks/bench_start.py --photos $(PHOTOS)

bench-step: $(READY)
	$(BIN)/python benchmarks/profile_step.py --photos $(PHOTOS)
	$(BIN)/python benchmarks/profile_scratch.py --photos $(PHOTOS)

# Not part of `bench`: an hour, and the training of the default.
bench-tune: $(READY)
	$(BIN)/python benchmarks/bench_tune.py --photos $(PHOTOS)

bench-serve: $(READY)
	$(BIN)/python benchmarks/bench_serve.py --photos $(PHOTOS)

bench-studio: $(READY)
	$(BIN)/python benchmarks/bench_studio.py
	$(BIN)/python benchmarks/bench_live.py --photos $(PHOTOS)

bench-check: $(READY)
	$(BIN)/python benchmarks/bench_duplicates.py --photos $(PHOTOS)
