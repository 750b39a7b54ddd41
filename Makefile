# Everything a newcomer needs is `make run` and `make test`. Both set up what they need first.

PYTHON ?= python3
venv := .venv
bin := $(venv)/bin

.PHONY: run test lint bench lock sample clean

run: $(venv)/run ## the page, the gateway and the agents on this machine
	@$(bin)/python -m local

test: $(venv)/test ## all tests; one whose tool is missing says what to install
	@$(bin)/python -m pytest

lint: $(venv)/test
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy

bench: $(venv)/test ## figures, each with its peer in the same run
	@$(bin)/python -m tests.bench

sample: $(venv)/run ## record the sample anew (needs Linux and nginx)
	@$(bin)/python -m local.record_sample

# The environment. A stamp says which of the locked sets is in it; `test` includes `run`.
$(venv)/run: requirements/run.txt | $(venv)
	@$(bin)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(venv)/test: requirements/test.txt | $(venv)
	@$(bin)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(venv)/run

# The functions and the library are found where they are, as on Lambda: no build, no install.
$(venv):
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Tailrace needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}. Say which to use: make PYTHON=python3.13 run")'
	@$(PYTHON) -m venv $(venv)
	@$(bin)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "tailrace.pth").write_text("\n".join(str(pathlib.Path(p).resolve()) for p in ("layers/tailrace", "functions")))'

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra agents --extra local $(lockflags) -o requirements/run.txt
	uv pip compile pyproject.toml --extra test -c requirements/run.txt $(lockflags) -o requirements/test.txt
lockflags := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:
	rm -rf $(venv) .tailrace .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
