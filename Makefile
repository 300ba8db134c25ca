# Each target that needs the environment runs tools/setup.sh first, which does nothing when nothing has changed.
SYSTEM = galaxy
ONLY =
PROMPT = a red butterfly landing on a blue flower
SEED = 0
STEPS = 20
python = .venv/bin/python
notebooks = $(sort $(wildcard notebooks/*.ipynb))

.PHONY: help setup video series test lab renew reset notebooks check bench foreign lint clean

help:
	@echo 'make video      make a video of PROMPT="a sentence"; it is runs/video.mp4   [SYSTEM=...] [SEED=0] [STEPS=20]'
	@echo 'make series     run the notebooks in order; results in runs/   [SYSTEM=galaxy|t3000|n300|n150|p150|...] [ONLY=01]'
	@echo 'make test       run all tests   [EXAMPLES=all: more draws, and nbval, as once a week]'
	@echo 'make lab        open JupyterLab on your copies of the notebooks, in work/'
	@echo 'make renew      take over what is new in the notebooks, and keep your answers   [ONLY=03]'
	@echo 'make reset      start a copy over; the old one is kept in work/before/   ONLY=03|all'
	@echo 'make notebooks  run the notebooks and store their outputs in place   [ONLY=01]'
	@echo 'make book       build the website in build/book, from the stored notebooks'
	@echo 'make test-browser   open the website and JupyterLab in Chromium, and use them   [ONLY=book|lab]'
	@echo 'make check      say what works on this machine, and what to do about the rest'
	@echo 'make bench      measure what has a stated speed'
	@echo 'make foreign    run programs of a checkout of tt-metal on the emulated mesh, judge them   CHECKOUT=path [ONLY=T5]'
	@echo 'make lint       check and format-check code and notebooks'
	@echo 'make clean      remove runs/ and caches; .venv stays'

setup:
	@tools/setup.sh

# Through the environment, so that a prompt may hold any quotes.
video: export WANTED = $(PROMPT)
video: setup
	@$(python) -m helpers.mochi --system '$(SYSTEM)' --seed '$(SEED)' --steps '$(STEPS)' -- "$$WANTED"

series: setup
	@$(python) -m tools.series --system '$(SYSTEM)' --only '$(ONLY)'

# Two workers on two cores: more threads than that only wait for each other. tests/conftest.py says who runs what.
# The series' own run is compared with what is stored; once a week nbval does the same in a kernel of its own.
nbval = --nbval-lax --nbval-current-env --nbval-cell-timeout 300 $(notebooks)
test: export OMP_NUM_THREADS = 1
test: setup
	$(python) -m pytest $(if $(filter all,$(EXAMPLES)),$(nbval)) -n 2 --dist loadgroup --no-loadscope-reorder tests

# On copies in work/: what a learner writes must not change the notebooks that are tested.
lab: setup
	@$(python) -m tools.lab

renew: setup
	@$(python) -m tools.copies renew --only '$(ONLY)'

reset: setup
	@$(python) -m tools.copies reset --only '$(ONLY)'

notebooks: setup
	@$(python) -m tools.notebooks --only '$(ONLY)'

# The website's tools are in an environment of their own, and uv is all that they need.
uv = $(or $(shell command -v uv),.venv/bin/uv)
web = UV_PROJECT_ENVIRONMENT=build/web UV_COMPILE_BYTECODE=1 $(uv) run --quiet --frozen --only-group web

.PHONY: book test-browser

book: $(if $(shell command -v uv),,setup)
	@$(web) python -m docs.build

test-browser: $(if $(filter book,$(ONLY)),,setup) book
	$(web) python -m pytest -rs --confcutdir=tests/browser tests/browser$(if $(ONLY),/test_$(ONLY).py)

# Threads as in a notebook: there the emulator says so before torch is imported.
bench: export GOMP_SPINCOUNT = 2000
bench: setup
	@$(python) -m tools.bench

# What these programs import beside ttnn stays out of the environment.
# A program's name may hold an apostrophe, so it goes as video's sentence does.
foreign: export WANTED = $(ONLY)
foreign: setup
	@.venv/bin/uv pip install -q --python $(python) --target runs/foreign --no-deps pytz==2026.6 torchvision==0.28.0
	@PYTHONPATH=runs/foreign $(python) -m tools.foreign '$(CHECKOUT)' --only "$$WANTED" --write

# With any Python, set up or not: it says what is missing.
check:
	@$(or $(wildcard $(python)),python3) tools/check.py

lint: setup
	$(python) -m ruff check .
	$(python) -m ruff format --check .

clean:
	rm -rf runs .pytest_cache .hypothesis .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -exec rm -rf {} +
