# Everything a newcomer needs is `make run` and `make test`. Both set up what they need first.

PYTHON ?= python3
venv := .venv
bin := $(venv)/bin
# sam pins older releases of some packages, so it has its own environment.
sam := .cache/sam-venv
export SAM_CLI_TELEMETRY := 0
# Without bytecode on disk, each process would compile our code again, and each of pytest's workers all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run address test test-fast lint bench score chaos token tokens revoke build validate audit preflight deploy rate-rule smoke destroy sam-local sam-services lock sample pictures clean
# Two targets that run at once would install into one environment.
.NOTPARALLEL:

run: $(if $(MODEL),needs-model $(venv)/model-$(provider)) $(venv)/run ## AGENT=greeter MODEL=openai:… OIDC=1: the page, the gateway and the agents on this machine
	@$(if $(AGENT),TAILRACE_ORCHESTRATOR=$(AGENT)) $(if $(MODEL),TAILRACE_MODEL='$(MODEL)') $(bin)/python -m local$(if $(OIDC),.issuer)

address: $(venv)/run ## an address of the page of `make run` that lets one more browser in
	@$(bin)/python -m local.address

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

pictures: $(venv)/test ## take the pictures of README.md again
	@$(bin)/python -m tests.e2e.pictures

sample: $(venv)/run ## record the sample again (needs Linux and nginx)
	@$(bin)/python -m local.record_sample

# On AWS: see docs/DEPLOY.md. Building needs Python 3.13, which runs the functions, but no Docker.
include deploy/python.mk
ARCHITECTURE ?= arm64
STACK ?= tailrace
# SECRET may also be the environment variable TAILRACE_ACCESS_SECRET, to keep it out of the shell's history and make's
# arguments, which all users of a machine may see.
preflight deploy smoke: export TAILRACE_ACCESS_SECRET := $(or $(SECRET),$(TAILRACE_ACCESS_SECRET))

build: needs-python3.13 $(sam)/ready ## layers and functions as they go to AWS, in .aws-sam/build
	@$(sam)/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE) $(if $(DEPLOYED_MODEL),Model=$(DEPLOYED_MODEL)) $(PARAMETERS)
	@$(sam)/bin/python -m deploy.expand .aws-sam/build/template.yaml

validate: $(sam)/ready ## the template, as it is written and as CloudFormation gets it
	@$(sam)/bin/cfn-lint template.yaml
	@$(sam)/bin/sam validate --region us-east-1
	@$(sam)/bin/python -m deploy.expand template.yaml .cache/expanded.yaml
	@$(sam)/bin/cfn-lint .cache/expanded.yaml deploy/rate-rule.yaml

audit: .cache/audit/ready ## does a locked package have a known vulnerability? On CI only if the databases can be reached
	@.cache/audit/bin/python requirements/audit.py $(if $(CI),--if-reachable)

preflight: needs-python3.13 $(venv)/run ## say what would stop `make deploy`, before it does
	@$(bin)/python -m deploy.preflight $(STACK) $(PARAMETERS)

# A parameter that is not named keeps its value, so the model's layer is built for the model that is deployed.
deploy: preflight $(sam)/ready ## build, deploy, upload the page; with SECRET=… only users who know it can use /api/*
	@model="$$($(bin)/python -m deploy.stacks $(STACK) Model)" && $(MAKE) --no-print-directory build DEPLOYED_MODEL="$$model"
	@added="$$($(bin)/python -m deploy.parameters $(PARAMETERS))" && $(sam)/bin/sam deploy --stack-name $(STACK) \
	  --parameter-overrides Architecture=$(ARCHITECTURE) $(PARAMETERS) $$added \
	  || { $(bin)/python -m deploy.failure $(STACK); exit 1; }
	@$(bin)/python -m deploy.publish $(STACK)

# STACK is read only if it was given: that needs credentials.
smoke: export TAILRACE_TOKEN := $(or $(TOKEN),$(TAILRACE_TOKEN))
smoke: $(venv)/run ## URL=… SECRET=… or TOKEN=… STACK=…: check what no emulator can; each failure says what to do
	@$(bin)/python -m deploy.smoke $(URL) $(of_stack)

# Of `make run`, or of the deployment STACK=….
of_stack = $(if $(filter command environment,$(origin STACK)),--stack $(STACK))

# What is given to these reaches the command as it is: neither make nor the shell takes a part of it for its own.
$(foreach each,NAME SCOPES DAYS ID,$(if $(value $(each)),$(eval override $(each) := $$(value $(each)))$(eval export $(each))))

token: $(venv)/run ## NAME=ci SCOPES=read,write DAYS=90 STACK=…: make a token for a machine and print it, once
	@$(bin)/python -m deploy.tokens $(of_stack) new $(if $(SCOPES),--scopes="$$SCOPES") $(if $(DAYS),--days="$$DAYS") -- "$$NAME"

tokens: $(venv)/run ## STACK=…: list the tokens
	@$(bin)/python -m deploy.tokens $(of_stack) list

revoke: $(venv)/run ## ID=… STACK=…: take a token back
	@$(bin)/python -m deploy.tokens $(of_stack) revoke -- "$$ID"

rate-rule: $(sam)/ready ## LIMIT=2000 STACK=…: how many requests an address may make in five minutes; it costs $6 a month
	@$(sam)/bin/sam deploy --template-file deploy/rate-rule.yaml --stack-name $(STACK)-rate-rule --region us-east-1 \
	  $(if $(LIMIT),--parameter-overrides Limit=$(LIMIT))

destroy: $(venv)/run ## take a deployment away, with all its data, after asking
	@$(bin)/python -m deploy.destroy $(STACK)

sam-local: needs-docker needs-python3.13 $(sam)/ready $(venv)/test ## everything in containers on this machine; needs Docker
	@$(bin)/python -m deploy.sam_local

sam-services: needs-docker $(sam)/ready $(venv)/test ## what your own `sam local start-api` needs beside it
	@$(bin)/python -m deploy.sam_local.services

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

# The package of a model's provider, in addition.
provider = $(firstword $(subst :, ,$(MODEL)))
$(venv)/model-%: requirements/model-%.txt $(venv)/run
	@echo "$*: installing its packages into $(venv) ($<)"
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@

# What the analysts are compared with is not needed for any test.
$(venv)/score: requirements/score.txt $(venv)/test
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@

needs-model:
	@test -f requirements/model-$(provider).txt || { echo "tailrace: MODEL has value '$(MODEL)', but must be one of \
	$(addsuffix :NAME,$(providers)). Another provider's package you install yourself, for example .venv/bin/pip install \
	langchain langchain-anthropic, and set TAILRACE_MODEL=anthropic:NAME instead." >&2; exit 1; }

# cargo-lambda's emulator is installed with sam, without the compiler that it declares but does not need here.
$(sam)/ready: requirements/sam.txt requirements/emulators.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(sam) $^
	@touch $@

.cache/audit/ready: requirements/audit.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py .cache/audit $<
	@touch $@

python_is_fit = command -v $(PYTHON) >/dev/null || { echo "tailrace: $(PYTHON) is not installed. Install Python 3.11 or \
newer (on Debian and Ubuntu: sudo apt-get install python3 python3-venv), or name one: make PYTHON=python3.13 run" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("tailrace: Tailrace needs Python 3.11 or newer, \
and $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.13 run" % v[:2])'

# uv gets the functions' Python where the system has none. Nothing else is asked for before.
needs-python3.13:
	@test -n "$(python313)" || { command -v uv >/dev/null && echo "uv installs Python 3.13, which the functions run with." && \
	  uv python install --quiet 3.13; } || { echo "tailrace: Python 3.13 is not installed, and the functions are built \
	with it, because Lambda runs them with it. Run \`pip install uv\` and the same command again: uv gets it. Or install it \
	yourself (on macOS: brew install python@3.13).$$(command -v docker >/dev/null && echo ' Or let Docker do it: see \
	docs/DEPLOY.md, Without Python 3.13.')" >&2; exit 1; }

# Checks that a tool is installed before the target does anything.
needs-%:
	@command -v $* >/dev/null || { echo "tailrace: $* is not installed, and this needs it: $(why_$*)." >&2; exit 1; }
why_docker := the functions run in its containers
why_uv := it resolves the dependencies (pip install uv)

lock: needs-uv ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --extra agents --extra local $(lockflags) -o requirements/run.txt
	uv pip compile pyproject.toml --extra test -c requirements/run.txt $(lockflags) -o requirements/test.txt
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
providers := openai bedrock_converse
# What the other files lock already.
except = $$(sed -n 's/==.*/ /p' $(1) | sed 's/^/--no-emit-package /')
lockflags := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
# For the functions' Python. The Lambda runtime has boto3 and its dependencies.
layerflags := $(subst --universal --python-version 3.11,--python-version 3.13 --python-platform aarch64-manylinux_2_28,\
  $(lockflags)) --only-binary :all: -c requirements/run.txt \
  $(addprefix --no-emit-package ,boto3 botocore s3transfer jmespath python-dateutil six)
# LangSmith works without zstandard, which has 21 MB. On Lambda, checkpoints are in DynamoDB, not in SQLite.
not_in_agents := zstandard langgraph-checkpoint-sqlite aiosqlite sqlite-vec

clean:
	rm -rf $(venv) .aws-sam .tailrace .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
