# Everything from a fresh clone: `make demo`, `make test`. Needs Python 3.10 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two processes with one thread each beat one process with two.
PYTEST := OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: install demo demo-small test test-lowest lint types check clean

install: $(VENV)/installed

# modAL-python pins skorch==0.9.0, so it is installed without its dependencies; what it
# needs is among those of modal_pretrain.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	$(BIN)/python -m pip install --quiet --no-deps "modAL-python>=0.4.2"
	touch $@

demo: install
	$(BIN)/python -m modal_pretrain.benchmark --out demo

demo-small: install
	$(BIN)/python -m modal_pretrain.benchmark --out demo/small --seeds 1 --rounds 4 --quiet

test: install
	$(PYTEST) $(ARGS)

# The lowest versions that pyproject.toml allows; they need Python 3.10.
test-lowest:
	python3.10 -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --editable ".[test]" \
		--constraint constraints-lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --no-deps "modAL-python>=0.4.2"
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(VENV)-lowest/bin/python -m pytest -n 2 $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

check: lint types test demo-small

clean:
	rm -rf $(VENV) $(VENV)-lowest demo build dist *.egg-info
