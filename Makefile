# Everything a newcomer needs is `make run` and `make test`. Both set up what they need first.

# run, build, deploy and all else that every project has, and what our `make test` and `make run OIDC=1` need for it.
test_lists := requirements/test.txt
run_module = local$(if $(OIDC),.issuer)
include deploy/project.mk

.PHONY: test test-fast lint bench score chaos audit sam-local sam-services lock sample pictures wheel clean

test: $(venv)/test ## all tests; one whose tool is missing says what to install
	@$(bin)/python -m pytest -n auto $(whole_files)

test-fast: $(venv)/test ## the unit and contract tests that take no time: for the hand at work
	@$(bin)/python -m pytest -n logical $(whole_files) -m 'not slow' tests/unit tests/contract

# A file's tests stay in one process. tests/support/scheduling.py says how many processes there are, and which files
# come first.
whole_files := --dist loadfile --no-loadscope-reorder

lint: $(venv)/test ## ruff, mypy --strict, and the layers of the library
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/lint-imports --no-logo --no-cache

bench: $(venv)/test ## figures, each with its peer in the same run
	@$(bin)/python -m tests.bench

chaos: $(venv)/test ## SEED=… FAULTS=10000 PROFILE=… ROUND=…: kill, cut and misdirect everything, and check every promise
	@$(bin)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS)) \
		$(if $(PROFILE),--profile $(PROFILE)) $(if $(ROUND),--round $(ROUND))

score: $(venv)/score ## SEEDS=…: what the analysts find on labelled logs and metrics, beside drain3, PELT, STL and a discord search
	@$(bin)/python -m tests.score $(SEEDS)

pictures: $(venv)/test ## take the pictures of README.md and TRACING.md again
	@$(bin)/python -m tests.e2e.pictures
	@$(bin)/python -m tests.e2e.trace_picture

sample: $(venv)/run ## record the sample again (needs Linux and nginx)
	@$(bin)/python -m local.record_sample

audit: .cache/audit/ready ## does a locked package have a known vulnerability? On CI only if the databases can be reached
	@.cache/audit/bin/python requirements/audit.py $(if $(CI),--if-reachable)

sam-local: needs-docker needs-python3.13 $(sam)/ready $(venv)/test ## everything in containers on this machine; needs Docker
	@$(bin)/python -m deploy.sam_local

sam-services: needs-docker $(sam)/ready $(venv)/test ## what your own `sam local start-api` needs beside it
	@$(bin)/python -m deploy.sam_local.services

# What the analysts are compared with is not needed for any test.
$(venv)/score: requirements/score.txt $(venv)/test
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@

.cache/audit/ready: requirements/audit.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py .cache/audit $<
	@touch $@

why_docker := the functions run in its containers
why_uv := it resolves the dependencies (pip install uv)

lock: needs-uv ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --extra agents --extra local $(lockflags) -o requirements/run.txt
	uv pip compile pyproject.toml --extra test -c requirements/run.txt $(lockflags) -o requirements/test.txt
	uv pip compile pyproject.toml --extra testing -c requirements/test.txt $(lockflags) $(call except,requirements/run.txt) \
	  -o requirements/project.txt
	uv pip compile pyproject.toml --extra score -c requirements/test.txt $(lockflags) $(call except,requirements/test.txt) \
	  -o requirements/score.txt
	for model in $(providers); do \
	  uv pip compile pyproject.toml --extra agents --extra local --extra $$model -c requirements/test.txt $(lockflags) \
	    $(call except,requirements/run.txt) -o requirements/model-$$model.txt || exit; \
	done
	printf '%s\n' aws-sam-cli cfn-lint aws-sam-translator | uv pip compile - $(lockflags) -o requirements/sam.txt
	echo pip-audit | uv pip compile - $(lockflags) -o requirements/audit.txt
	echo cargo-lambda | uv pip compile - --no-deps $(lockflags) -o requirements/emulators.txt
	uv pip compile pyproject.toml --extra container -c requirements/run.txt $(lockflags) -o deploy/gateway/requirements.txt
	uv pip compile pyproject.toml $(layerflags) --no-emit-package urllib3 -o layers/tailrace/requirements.txt
	uv pip compile pyproject.toml --extra agents $(layerflags) $(addprefix --no-emit-package ,$(not_in_agents)) \
	  $(call except,layers/tailrace/requirements.txt) -o layers/agents/requirements.txt
	for model in $(providers); do \
	  uv pip compile pyproject.toml --extra agents --extra $$model -c requirements/test.txt $(layerflags) \
	    $(addprefix --no-emit-package ,$(not_in_agents) urllib3) \
	    $(call except,layers/tailrace/requirements.txt layers/agents/requirements.txt) \
	    -o layers/models/$$model/requirements.txt || exit; \
	done
# What the other files lock already.
except = $$(sed -n 's/==.*/ /p' $(1) | sed 's/^/--no-emit-package /')
lockflags := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
# For the functions' Python. The Lambda runtime has boto3 and its dependencies.
layerflags := $(subst --universal --python-version 3.11,--python-version 3.13 --python-platform aarch64-manylinux_2_28,\
  $(lockflags)) --only-binary :all: -c requirements/run.txt \
  $(addprefix --no-emit-package ,boto3 botocore s3transfer jmespath python-dateutil six)
# LangSmith works without zstandard, which has 21 MB. On Lambda, checkpoints are in DynamoDB, not in SQLite.
not_in_agents := zstandard langgraph-checkpoint-sqlite aiosqlite sqlite-vec

wheel: $(venv)/run ## the library and `tailrace new` as a package, in dist/
	@rm -rf build layers/tailrace/*.egg-info # or the wheel would have what was deleted since
	@$(bin)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf build dist layers/tailrace/*.egg-info $(venv) .aws-sam .tailrace .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
