# The two commands of the README are `make train` and `make test`; the rest is for those who change the code.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CXX_FILES := $(wildcard native/*.?pp native/*/*.?pp)
NATIVE := CMakeLists.txt $(filter-out native/tests/%,$(CXX_FILES))

.PHONY: train test lint types contracts sanitize coverage arm isa peers bench check fallback page e2e format clean

train: $(VENV)/.run
	$(BIN)/pellucid train

test: $(VENV)/.test
	$(BIN)/pytest -n auto -m "not peers"

check: lint types contracts

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

types: $(VENV)/.dev
	$(BIN)/pyright

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

# The engine without Python, against naive loops, under GCC's sanitizers.
sanitize:
	$(MAKE) -C native/tests -j $(shell nproc) MODE=address
	$(MAKE) -C native/tests -j $(shell nproc) MODE=thread

# Which lines of the engine its own tests reach.
coverage: $(VENV)/.dev
	rm -f build/native-tests/coverage-*/*.gcda
	$(MAKE) -C native/tests -j $(shell nproc) MODE=coverage
	cd native/tests && ../../$(BIN)/gcovr --root .. --object-directory . --exclude $(CURDIR)/native/tests/ --merge-lines \
		../../build/native-tests/coverage-*

# The same tests on an emulated ARM processor; needs a cross compiler and QEMU (see CONTRIBUTING.md).
arm:
	$(MAKE) -C native/tests -j $(shell nproc) MODE=plain ARCH=aarch64 CXX=aarch64-linux-gnu-g++ \
		RUN="qemu-aarch64-static -L /usr/aarch64-linux-gnu"

# The engine's tests in Python on each narrower instruction set; test_native_exact.py takes all of them in turn by itself.
isa: $(VENV)/.test
	for isa in baseline avx2; do \
		PELLUCID_ISA=$$isa $(BIN)/pytest -q -n auto tests/engine --ignore tests/engine/test_native_exact.py || exit 1; \
	done

# PyTorch is a peer to compare with, never a dependency.
peers: $(VENV)/.peers
	$(BIN)/pytest -m peers

# Pellucid beside its peers, and its kernels beside the processor's peak; see docs/benchmarks.md.
bench: $(VENV)/.bench
	mkdir -p build/bench
	$(BIN)/python -m benchmarks --json build/bench/bench.json --markdown build/bench/bench.md --plot build/bench/bench.svg

# Without a compiler the install must succeed all the same, and say so.
fallback:
	$(PYTHON) -m venv build/no-compiler
	CC=/nonexistent CXX=/nonexistent build/no-compiler/bin/pip install --quiet .
	build/no-compiler/bin/pellucid --version | grep "without a C++ compiler"

# The page of `pellucid explore`, whose build is part of the package.
page: explorer/node_modules
	cd explorer && npm run build

# The formulas in KaTeX, then the page in headless Chromium, as a reader would use it: needs Debian's chromium.
e2e: $(VENV)/.test page
	$(BIN)/pytest -q tests/explain/test_latex.py
	cd explorer && npm run e2e

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CXX_FILES)

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml $(NATIVE)
	$(BIN)/pip install --quiet --editable ".[sklearn,plot,web]"
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml $(NATIVE)
	$(BIN)/pip install --quiet --editable ".[test]"
	touch $@ $(VENV)/.run

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml $(NATIVE)
	SKBUILD_CMAKE_DEFINE=PELLUCID_WERROR=ON $(BIN)/pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.peers: $(VENV)/.test
	$(BIN)/pip install --quiet torch==2.13.0
	touch $@

$(VENV)/.bench: $(VENV)/.peers
	$(BIN)/pip install --quiet onnx onnxruntime jax
	touch $@

explorer/node_modules: explorer/package-lock.json
	cd explorer && npm ci
	touch $@
