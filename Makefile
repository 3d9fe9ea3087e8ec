# netchu: `make repro` rebuilds everything, `make test` runs the tests.
# Needs Python 3.11, git and npm; everything else is installed into .venv from requirements.lock.

PYTHON := $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
UV := .venv/bin/uv
# Every stage is a separate process, which starts ten seconds slower without cached bytecode.
RUN := env -u PYTHONDONTWRITEBYTECODE PATH="$(CURDIR)/.venv/bin:$$PATH" PYTHONWARNINGS=ignore
# A process for each core, as torch has one thread in tests; each takes 1.5 GB. Tests of a file share fixtures.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help env repro smoke test slow containers mutants mutants-sample pythons bench-synthesis bench-serving bench-bulk-reading bench-memory bench-photos bench-fine-tuning lint docs ui register stale lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 18

env: .venv/.ready  ## set up .venv from requirements.lock

.venv/.ready: requirements.lock pyproject.toml
ifeq ($(PYTHON),)
	@echo "netchu: Python 3.11 is missing; install it with your package manager (python3.11, python3.11-venv) or from python.org" >&2; exit 2
endif
	@command -v git >/dev/null || { echo "netchu: git is missing; install it with your package manager" >&2; exit 2; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv || \
		{ echo "netchu: Python has no module venv; install python3.11-venv" >&2; rm -rf .venv; exit 2; }
	@test -x $(UV) || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	VIRTUAL_ENV=.venv $(UV) pip sync --quiet requirements.lock
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --editable .
	@touch $@

repro: env  ## rebuild everything that is out of date: data, models, metrics, report
	@command -v npm >/dev/null || { echo "netchu: npm is missing (the fonts are npm packages); install it with your package manager or from nodejs.org" >&2; exit 2; }
	@$(RUN) python -m netchu repro
	@echo "The table is in reports/*/leaderboard.md, the page in reports/*/report.html; 'make ui' compares the runs."

smoke: env  ## run every stage and system for seconds, in a copy without this folder's outputs
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && git clone --quiet . "$$folder" && \
	cd "$$folder" && export PYTHONPATH=src && $(RUN) python -m netchu profile smoke --discard && \
	$(RUN) python -m netchu repro

test: env  ## run the tests
	@$(RUN) python -m pytest $(PARALLEL)

slow: env  ## run the slow tests: several processes, killed processes, full sizes
	@$(RUN) python -m pytest $(PARALLEL) -m slow

containers: env  ## build both images on a fresh Debian and run them (root, ten minutes)
	@$(RUN) python -m pytest -m containers

# What runs without the training packages. onnx and pandas are for the tests alone.
READER_TESTS := tests/inference tests/decoding tests/serve tests/cli/test_read_command.py \
	tests/cli/test_serve_command.py tests/imaging/test_photos.py tests/imaging/test_images.py tests/imaging/test_specks.py \
	tests/core/test_errors.py tests/core/test_files.py tests/core/test_locks.py tests/core/test_text.py

pythons: env  ## run the reader's tests on each Python from 3.11 on that uv or pyenv has
	@PATH="$$PATH:$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/*/bin 2>/dev/null | paste -sd:)"; \
	for v in 3.11 3.12 3.13 3.14; do \
		$(UV) venv --quiet --clear --python $${v} .pythons/$$v || { \
			echo "netchu: no Python $$v here, not tested"; continue; }; \
		echo "== Python $$v"; \
		$(UV) pip install --quiet --python .pythons/$$v '.[serve,pdf,heic,parquet]' \
			pytest pytest-timeout hypothesis fonttools httpx2 jiwer psutil schemathesis onnx pandas pyarrow && \
		.pythons/$$v/bin/python -m pytest -p no:cacheprovider $(READER_TESTS) \
			--ignore tests/inference/test_reader_of_networks.py --ignore tests/serve/test_containers.py \
			|| exit 1; done

mutants: env  ## change the code a little, again and again, and see whether a test fails (hours)
	@$(RUN) python tests/mutation/mutants.py

mutants-sample: env  ## the same for sixty changes, drawn by the commit
	@$(RUN) python tests/mutation/mutants.py --sample 60 --minutes 5

bench-synthesis: env  ## measure generated and loaded lines per second and core, beside trdg
	@$(RUN) OMP_NUM_THREADS=1 python benchmarks/synthesis.py

bench-serving: env  ## measure throughput and latency of the HTTP API
	@$(RUN) python benchmarks/serving.py

bench-bulk-reading: env  ## measure pages per second into a table beside a plain loop
	@$(RUN) OMP_NUM_THREADS=1 python benchmarks/bulk_reading.py

bench-memory: env  ## measure memory of preprocessing and the loader by number of lines
	@$(RUN) python benchmarks/memory.py

bench-photos: env  ## measure CER by frame, slope, polarity and direction; LINES adds line tables
	@$(RUN) python benchmarks/photos.py $(LINES)

bench-fine-tuning: env  ## measure what fine-tuning on one writer costs others; LINES names line tables
	@$(RUN) python benchmarks/fine_tuning.py $(LINES)

lint: env  ## run ruff and mypy
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy

docs: env  ## build the documentation into site/, and check its links
	@$(RUN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict

ui: env  ## compare the runs in MLflow's page; prints a link for each profile
	@$(RUN) netchu ui

register: env  ## register the best exported system in MLflow, and promote it if it reads better
	@$(RUN) netchu register && $(RUN) netchu promote

stale: env  ## fail where dvc.lock does not fit code and parameters
	@$(RUN) netchu plan --allow-missing > .stale.log 2>&1 || { cat .stale.log; \
		echo "netchu: DVC cannot say what is stale, see above" >&2; exit 1; }
	@! grep -q 'Running stage' .stale.log || { cat .stale.log; \
		echo "netchu: dvc.lock is stale; run 'make repro' and commit dvc.lock, fingerprints/ and reports/" >&2; exit 1; }

lock:  ## resolve pyproject.toml into requirements.lock again
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--upgrade --extra train --extra serve --extra parquet --extra cluster --extra pdf --extra heic --extra dev pyproject.toml --output-file requirements.lock

clean:  ## remove all that can be rebuilt, with .venv
	rm -rf .venv data models .checkpoints mlflow.db mlartifacts site
