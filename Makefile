# make demo, make test: install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test train-test check bench chaos slow statistics schemas starter demo-pack evasion clean

demo: $(VENV)/.demo
	$(BIN)/stream-filter demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not chaos and not slow and not train and not statistics" $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m stream_filter.app.schemas --check

chaos: $(VENV)/.dev
	$(BIN)/python -m pytest -m chaos -s $(ARGS)

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow and not chaos" $(ARGS)

statistics: $(VENV)/.dev
	$(BIN)/python -m pytest -m statistics -s $(ARGS)

# In an environment of its own: all else is tested without torch.
train-test: $(VENV)-train/.train
	$(VENV)-train/bin/python -m pytest -m "train and not chaos" $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(ARGS)

schemas: $(VENV)/.dev
	$(BIN)/python -m stream_filter.app.schemas

# The packs in models/. PUBLIC=FOLDER measures the starter on public logs (models/starter/public.py).
starter: $(VENV)/.dev
	$(BIN)/python -m models.starter $(if $(PUBLIC),--public $(PUBLIC)) $(ARGS)

demo-pack: $(VENV)-train/.train
	$(VENV)-train/bin/python -m models.demo $(ARGS)

# The table of docs/packs.md: what attacks make the packs in models/ drop.
evasion: $(VENV)/.dev
	$(BIN)/python -m tests.evasion

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo,dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo,bench]'
	touch $@

$(VENV)-train/.train: pyproject.toml
	$(PYTHON) -m venv $(VENV)-train
	$(VENV)-train/bin/python -m pip install --quiet -e '.[demo,dev,train]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-train build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
