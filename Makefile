# Each target that needs the environment runs tools/setup.sh first, which does nothing when nothing has changed.
SYSTEM = galaxy
ONLY =
PROMPT = a red butterfly landing on a blue flower
SEED = 0
STEPS = 20
python = .venv/bin/python
notebooks = $(sort $(wildcard notebooks/*.ipynb))

.PHONY: help setup video series test lab renew reset notebooks check bench lint clean

help:
	@echo 'make video      make a video of PROMPT="a sentence"; it is runs/video.mp4   [SYSTEM=...] [SEED=0] [STEPS=20]'
	@echo 'make series     run the notebooks in order; results in runs/   [SYSTEM=galaxy|t3000|n300|n150|p150|...] [ONLY=01]'
	@echo 'make test       run all tests'
	@echo 'make lab        open JupyterLab on your copies of the notebooks, in work/'
	@echo 'make renew      take over what is new in the notebooks, and keep your answers   [ONLY=03]'
	@echo 'make reset      start a copy over; the old one is kept in work/before/   ONLY=03|all'
	@echo 'make notebooks  run the notebooks and store their outputs in place   [ONLY=01]'
	@echo 'make check      say what works on this machine, and what to do about the rest'
	@echo 'make bench      measure what has a stated speed'
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

# Two workers on two cores: more threads than that only wait for each other. The notebooks come first: begun last, as
# files of few tests are by default, the longest of them would run alone.
test: export OMP_NUM_THREADS = 1
test: setup
	$(python) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout 300 \
	  -n 2 --dist loadfile --no-loadscope-reorder $(notebooks) tests

# On copies in work/: what a learner writes must not change the notebooks that are tested.
lab: setup
	@$(python) -m tools.lab

renew: setup
	@$(python) -m tools.copies renew --only '$(ONLY)'

reset: setup
	@$(python) -m tools.copies reset --only '$(ONLY)'

notebooks: setup
	@$(python) -m tools.notebooks --only '$(ONLY)'

bench: setup
	@$(python) -m tools.bench

# With any Python, set up or not: it says what is missing.
check:
	@$(or $(wildcard $(python)),python3) tools/check.py

lint: setup
	$(python) -m ruff check .
	$(python) -m ruff format --check .

clean:
	rm -rf runs .pytest_cache .hypothesis .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -exec rm -rf {} +
