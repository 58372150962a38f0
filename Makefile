# dfslab: `make report` and `make test` need python3 (3.11 or newer), pip and make; everything else goes into .venv/.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python
RACE ?=
OUT ?= reports

.PHONY: help setup report test test-real bench lab pictures lint lock clean

help:
	@echo "make report     the sample race, end to end, into reports/"
	@echo "make test       the tests"
	@echo "make test-real  the tests on real races (needs ../shared/data)"
	@echo "make lab        JupyterLab with the notebooks"
	@echo "make bench      every benchmark, into benchmarks/RESULTS.md"
	@echo "make pictures   screenshots of the sample pages, into docs/img"

setup: $(VENV)/ready

# The environment: exact versions with hashes, then the package itself; byte-code is compiled once, here, and
# checked by content: a source of the same size and time is not the same source. The kernels of a report follow.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --require-hashes --no-deps -r requirements.lock
	$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --no-deps -e .
	$(PY) -m compileall -q --invalidation-mode checked-hash $(VENV)/lib dfslab >/dev/null || true
	$(PY) -m scripts.compile
	touch $@

report: setup
	$(PY) -m dfslab report $(RACE) --out $(OUT)

test: setup
	$(PY) -m pytest -q -n 2 --dist loadfile tests dfslab --ignore=tests/real --ignore=tests/wheel

test-real: setup
	$(PY) -m pytest -q -rs -n 2 --dist loadfile tests/real

bench: setup
	$(PY) -m benchmarks

lab: setup
	$(PY) -m dfslab lab

pictures: setup
	$(PY) scripts/docs/pictures.py

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# Needs uv and pyproject2conda; run after a change of the dependencies.
lock: setup
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --no-header pyproject.toml -o requirements.lock
	$(PY) scripts/docs/environment.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build *.egg-info
