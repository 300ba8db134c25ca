# Each target that needs the environment runs tools/setup.sh first, which does nothing when nothing has changed.
SYSTEM = galaxy
ONLY =
PROMPT = a red butterfly landing on a blue flower
SEED = 0
STEPS = 20
python = .venv/bin/python
notebooks = $(sort $(wildcard notebooks/*.ipynb))

.PHONY: help setup video series test lab notebooks bench lint clean

help:
	@echo 'make video      make a video of PROMPT="a sentence"; it is runs/video.mp4   [SYSTEM=...] [SEED=0] [STEPS=20]'
	@echo 'make series     run the notebooks in order; results in runs/   [SYSTEM=galaxy|t3000|n300|n150|p150|...] [ONLY=01]'
	@echo 'make test       run all tests'
	@echo 'make lab        open JupyterLab on the first notebook, on copies in work/'
	@echo 'make notebooks  run the notebooks and store their outputs in place   [ONLY=01]'
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

# In copies: what a learner writes must not change the notebooks that are tested.
lab: setup
	@mkdir -p work && for n in $(notebooks); do [ -e work/$${n##*/} ] || cp $$n work/; done
	$(python) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) --notebook-dir=work \
	  --LabApp.default_url=/lab/tree/$(notdir $(firstword $(notebooks)))

notebooks: setup
	@$(python) -m tools.notebooks --only '$(ONLY)'

bench: setup
	@$(python) -m tools.bench

lint: setup
	$(python) -m ruff check .
	$(python) -m ruff format --check .

clean:
	rm -rf runs .pytest_cache .hypothesis .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -exec rm -rf {} +
