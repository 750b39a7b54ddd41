# Everything a newcomer needs is `make run` and `make test`. Both set up what they need first.

PYTHON ?= python3
venv := .venv
bin := $(venv)/bin
# sam pins older releases of some packages, so it has its own environment.
sam := .cache/sam-venv
export SAM_CLI_TELEMETRY := 0
# Without bytecode on disk, each process would compile our code again, and each of pytest's workers all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-fast lint bench chaos build validate deploy smoke sam-local lock sample pictures clean
# Two targets that run at once would install into one environment.
.NOTPARALLEL:

run: $(venv)/run ## AGENT=greeter: the page, the gateway and the agents on this machine
	@$(if $(AGENT),TAILRACE_ORCHESTRATOR=$(AGENT)) $(bin)/python -m local

test: $(venv)/test ## all tests; one whose tool is missing says what to install
	@$(bin)/python -m pytest -n auto $(whole_files)

test-fast: $(venv)/test ## the unit and contract tests that take no time: for the hand at work
	@$(bin)/python -m pytest -n logical $(whole_files) -m 'not slow' tests/unit tests/contract

# A file's tests stay in one process. tests/conftest.py says how many processes there are, and which files come first.
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

pictures: $(venv)/test ## take the pictures of README.md again
	@$(bin)/python -m tests.e2e.pictures

sample: $(venv)/run ## record the sample again (needs Linux and nginx)
	@$(bin)/python -m local.record_sample

# On AWS: see docs/DEPLOY.md. Building needs python3.13, which runs the functions, but no Docker.
ARCHITECTURE ?= arm64
STACK ?= tailrace
# SECRET may also be the environment variable TAILRACE_ACCESS_SECRET, to keep it out of the shell's history.
deploy smoke: export TAILRACE_ACCESS_SECRET := $(or $(SECRET),$(TAILRACE_ACCESS_SECRET))

build: needs-python3.13 $(sam)/ready ## layers and functions as they go to AWS, in .aws-sam/build
	@$(sam)/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE)

validate: $(sam)/ready
	@$(sam)/bin/cfn-lint template.yaml
	@$(sam)/bin/sam validate --region us-east-1

deploy: needs-python3.13 build $(venv)/run ## build, deploy, upload the page; with SECRET=… only users who know it can use /api/*
	@$(sam)/bin/sam deploy --stack-name $(STACK) --parameter-overrides Architecture=$(ARCHITECTURE) $(PARAMETERS) \
	  $(if $(TAILRACE_ACCESS_SECRET),AccessSecret='$(TAILRACE_ACCESS_SECRET)') \
	  Release='$(if $(PARAMETERS)$(TAILRACE_ACCESS_SECRET),$(shell date +%s),"")'
	@$(bin)/python -m deploy.publish $(STACK)

smoke: $(venv)/run ## URL=… SECRET=…: check that a deployment streams, and loses or repeats no event
	@$(bin)/python -m deploy.smoke $(URL)

sam-local: needs-docker needs-python3.13 $(sam)/ready $(venv)/test ## everything in containers on this machine; needs Docker
	@$(bin)/python -m deploy.sam_local

# The environment. A stamp file names the locked set that is installed; `test` includes `run`. The functions and the
# library are imported from their folders, as on Lambda, without a build or an install.
$(venv)/run: requirements/run.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@

$(venv)/test: requirements/test.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@ $(venv)/run

# cargo-lambda's emulator is installed with sam, without the compiler that it declares but does not need here.
$(sam)/ready: requirements/sam.txt requirements/emulators.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(sam) $^
	@touch $@

python_is_fit = command -v $(PYTHON) >/dev/null || { echo "tailrace: $(PYTHON) is not installed. Install Python 3.11 or \
newer (on Debian and Ubuntu: sudo apt-get install python3 python3-venv), or name one: make PYTHON=python3.13 run" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("tailrace: Tailrace needs Python 3.11 or newer, \
and $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.13 run" % v[:2])'

# Checks that a tool is installed before the target does anything.
needs-%:
	@command -v $* >/dev/null || { echo "tailrace: $* is not installed, and this needs it: $(why_$*)." >&2; exit 1; }
why_python3.13 := the functions are built with the Python that Lambda runs them with
why_docker := the functions run in its containers
why_uv := it resolves the dependencies (pip install uv)

lock: needs-uv ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --extra agents --extra local $(lockflags) -o requirements/run.txt
	uv pip compile pyproject.toml --extra test -c requirements/run.txt $(lockflags) -o requirements/test.txt
	printf '%s\n' aws-sam-cli cfn-lint aws-sam-translator | uv pip compile - $(lockflags) -o requirements/sam.txt
	echo cargo-lambda | uv pip compile - --no-deps $(lockflags) -o requirements/emulators.txt
	uv pip compile pyproject.toml $(layerflags) --no-emit-package urllib3 -o layers/tailrace/requirements.txt
	uv pip compile pyproject.toml --extra agents $(layerflags) $(addprefix --no-emit-package ,$(not_in_agents)) \
	  $$(sed -n 's/==.*//p' layers/tailrace/requirements.txt | sed 's/^/--no-emit-package /') -o layers/agents/requirements.txt
lockflags := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
# For the functions' Python. The Lambda runtime has boto3 and its dependencies.
layerflags := $(subst --universal --python-version 3.11,--python-version 3.13 --python-platform aarch64-manylinux_2_28,\
  $(lockflags)) --only-binary :all: -c requirements/run.txt \
  $(addprefix --no-emit-package ,boto3 botocore s3transfer jmespath python-dateutil six)
# LangSmith works without zstandard, which has 21 MB. On Lambda, checkpoints are in DynamoDB, not in SQLite.
not_in_agents := zstandard langgraph-checkpoint-sqlite aiosqlite sqlite-vec

clean:
	rm -rf $(venv) .aws-sam .tailrace .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
