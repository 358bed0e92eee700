# make demo and make test are all that a newcomer needs; make help lists the rest.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN = $(VENV)/Scripts
EXE = .exe
else
BIN = $(VENV)/bin
endif
# Plain torch would bring gigabytes of CUDA; the tests and the exporter need only the processor.
TORCH ?= torch==2.13.0
DATA ?= ../shared/data

.PHONY: help demo test test-fast large check lint types fuzz sanitize bench encoding size quality faults optimum soak notebooks dist wheels audit licences sbom oldest newest docs clean

help:
	@grep -E '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

demo: $(VENV)/.runtime  ## install lightmine alone and mine the examples
	@mkdir -p out
	@echo; echo '$$ lightmine paraphrase examples/questions.txt --threshold 0.6'
	@$(BIN)/lightmine paraphrase examples/questions.txt --threshold 0.6 --format table
	@$(BIN)/lightmine paraphrase examples/questions.txt --threshold 0.6 --quiet -o out/paraphrases.tsv
	@echo; echo '$$ lightmine bitext examples/english.txt examples/german.txt --threshold 1.1'
	@$(BIN)/lightmine bitext examples/english.txt examples/german.txt --threshold 1.1 --format table
	@$(BIN)/lightmine bitext examples/english.txt examples/german.txt --threshold 1.1 --quiet -o out/bitext.tsv
	@echo; echo 'The same pairs as TSV: out/paraphrases.tsv and out/bitext.tsv'

test: $(VENV)/.test  ## install what the tests need (torch too) and run them all
	$(BIN)/python -m pytest

test-fast: $(VENV)/.fast  ## the tests that need no torch and are not slow, in under two minutes
	$(BIN)/python -m pytest -m 'not torch and not slow and not large' --hypothesis-profile fast --numprocesses auto

large: $(VENV)/.test  ## the tests that take gigabytes of memory and disk
	$(BIN)/python -m pytest -m large

check: lint types  ## ruff and mypy --strict

lint: $(VENV)/.check  ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.check  ## mypy --strict
	$(BIN)/mypy

# SECONDS are of each reader; what is found goes to tests/fuzzed.
SECONDS = 60
fuzz: $(VENV)/.test  ## fuzz every reader for a minute each (make fuzz SECONDS=600 for ten)
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m fuzz.run --seconds $(SECONDS)

# Random calls of the compiled kernel beside plain loops; CC is gcc or clang with their sanitizers.
SANITIZE = $(CC) -std=gnu11 -g -O2 -Wall -Wextra -Werror -fno-math-errno native/stress.c -pthread -lm -o build/stress
sanitize:  ## the compiled kernel under AddressSanitizer, UBSan and ThreadSanitizer, half a minute
	@mkdir -p build
	$(SANITIZE) -fsanitize=address,undefined -fno-sanitize-recover=all
	build/stress 60 1
	$(SANITIZE) -DGUARDED
	build/stress 200 1
	build/stress 200 4
	$(SANITIZE) -fsanitize=thread
	build/stress 20 4

bench: $(VENV)/.test  ## time and memory beside the peers, and the README's table
	$(BIN)/python -m pip install --quiet --group benchmark
	$(BIN)/python -m benchmarks.run --data $(DATA)

size: $(VENV)/.test  ## what an installation weighs beside its peers
	$(BIN)/python -m benchmarks.installed_size

encoding: $(VENV)/.test  ## speed and likeness of encoding beside the peers, in environments of their own
	$(BIN)/python -m benchmarks.encode --data $(DATA)

quality: $(VENV)/.test  ## accuracy on public sets, and the tables of docs/reports/quality.md
	$(BIN)/python -m benchmarks.quality --data $(DATA) --model static-multilingual=default --model minilm --model static-tiny \
		--truncate-dim 64 --truncate-dim 128 \
		--json benchmarks/results/quality.json
	$(BIN)/python -m benchmarks.bitext --data $(DATA)
	$(BIN)/python -m benchmarks.tables

docs: $(VENV)/.runtime  ## the documents as a site in build/site, which needs no network; fails on a warning or a broken link
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/python -m supply.site

faults: $(VENV)/.test  ## kill, fill the disk, close the pipe, turn the clock: what is left, and what comes of going on
	$(BIN)/python -m benchmarks.faults

# optimum-onnx needs transformers 4, so it has an environment of its own.
OPTIMUM = build/optimum
optimum: $(VENV)/.test $(OPTIMUM)/.made  ## build optimum's environment and test the exporter through it
	LIGHTMINE_OPTIMUM_PYTHON=$(CURDIR)/$(OPTIMUM)/bin/python $(BIN)/python -m pytest tests/export/test_optimum.py

$(OPTIMUM)/.made: | $(BIN)/python$(EXE)
	$(PYTHON) -m venv $(OPTIMUM)
	$(OPTIMUM)/bin/python -m pip install --quiet '$(TORCH)'
	$(OPTIMUM)/bin/python -m pip install --quiet 'optimum-onnx==0.1.0' 'transformers<4.58' 'sentence-transformers<6' onnxruntime
	@touch $@

soak: $(VENV)/.test  ## a thousand jobs, sixteen threads, ten million lines: memory, handles, answers
	$(BIN)/python -m benchmarks.soak

notebooks: $(VENV)/.fast  ## run the notebooks of examples/python and write their outputs into them
	$(BIN)/python -m tests.notebooks

# What is installed beside the wheel and nothing else; what builds and audits it stands apart.
RUNTIME = build/runtime
TOOLS = build/tools
dist: $(TOOLS)/.made  ## this platform's wheel and the sdist, built twice in different places, the same bytes; alone in dist
	$(TOOLS)/bin/python -m supply.dist

wheels: $(TOOLS)/.made  ## wheels for Linux (glibc and musl), Windows and macOS, x86-64 and arm64, checked, into dist
	$(TOOLS)/bin/python -m supply.wheels

audit: $(RUNTIME)/.made $(TOOLS)/.made  ## known vulnerabilities in what an installation brings (needs the network)
	$(RUNTIME)/bin/python supply/licences.py --pins > build/pins.txt
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip -r build/pins.txt

licences: $(RUNTIME)/.made  ## licences of what an installation brings, against a list of those allowed
	$(RUNTIME)/bin/python supply/licences.py

sbom: $(RUNTIME)/.made $(TOOLS)/.made  ## CycloneDX of what an installation brings, dist/lightmine.cdx.json
	@mkdir -p dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(TOOLS)/bin/cyclonedx-py environment --output-reproducible \
		--pyproject pyproject.toml --mc-type library -o dist/lightmine.cdx.json $(RUNTIME)/bin/python

oldest newest: dist  ## the wheel alone, on the oldest (newest) versions that it allows, and the tests that need no torch
	$(PYTHON) -m supply.bounds $@

$(RUNTIME)/.made: pyproject.toml | dist
	$(PYTHON) -m venv --clear $(RUNTIME)
	$(RUNTIME)/bin/python -m pip install --quiet "$$(ls dist/lightmine-*.whl)[hub,eval,plot]"
	$(RUNTIME)/bin/python -m pip uninstall --quiet --yes pip setuptools
	@touch $@

$(TOOLS)/.made: pyproject.toml
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(TOOLS)/bin/python -m pip install --quiet --group supply
	@touch $@

clean:  ## remove the virtual environment and what the commands left
	rm -rf $(VENV) .cache out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python$(EXE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'lightmine needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

# An editable installation compiles the kernel.
KERNEL = hatch_build.py native/kernel.c native/windows.c
$(VENV)/.runtime: pyproject.toml $(KERNEL) | $(BIN)/python$(EXE)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.fast: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

$(VENV)/.check: $(VENV)/.fast
	$(BIN)/python -m pip install --quiet --group check
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet --editable '.[export]' --group test --group check
	@touch $@
