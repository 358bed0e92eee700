# make demo and make test are all that a newcomer needs; make help lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Plain torch would bring gigabytes of CUDA; the tests and the exporter need only the processor.
TORCH ?= torch==2.13.0
DATA ?= ../shared/data

.PHONY: help demo test check fuzz bench encoding size quality optimum clean

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

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

check: $(VENV)/.test  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# SECONDS are of each reader; what is found goes to tests/fuzzed.
SECONDS = 60
fuzz: $(VENV)/.test  ## fuzz every reader for a minute each (make fuzz SECONDS=600 for ten)
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m fuzz.run --seconds $(SECONDS)

bench: $(VENV)/.test  ## time and memory beside the peers, and the README's table
	$(BIN)/python -m pip install --quiet --group benchmark
	$(BIN)/python -m benchmarks.run --data $(DATA)

size: $(VENV)/.test  ## what an installation weighs beside its peers
	$(BIN)/python -m benchmarks.installed_size

encoding: $(VENV)/.test  ## speed and likeness of encoding beside the peers, in environments of their own
	$(BIN)/python -m benchmarks.encode --data $(DATA)

quality: $(VENV)/.test  ## accuracy on public sets, and the tables of docs/results.md
	$(BIN)/python -m benchmarks.quality --data $(DATA) --model static-multilingual=default --model minilm \
		--json benchmarks/results/quality.json
	$(BIN)/python -m benchmarks.bitext --data $(DATA)
	$(BIN)/python -m benchmarks.tables

# optimum-onnx needs transformers 4, so it has an environment of its own.
OPTIMUM = build/optimum
optimum: $(VENV)/.test $(OPTIMUM)/.made  ## build optimum's environment and test the exporter through it
	LIGHTMINE_OPTIMUM_PYTHON=$(CURDIR)/$(OPTIMUM)/bin/python $(BIN)/python -m pytest tests/test_optimum.py

$(OPTIMUM)/.made: | $(BIN)/python
	$(PYTHON) -m venv $(OPTIMUM)
	$(OPTIMUM)/bin/python -m pip install --quiet '$(TORCH)'
	$(OPTIMUM)/bin/python -m pip install --quiet 'optimum-onnx==0.1.0' 'transformers<4.58' 'sentence-transformers<6' onnxruntime
	@touch $@

clean:  ## remove the virtual environment and what the commands left
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'lightmine needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet --editable '.[export]' --group test --group check
	@touch $@
