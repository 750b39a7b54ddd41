# What `make` does in every project of Tailrace: in its repository, and in what `tailrace new` has written. The Makefile
# that includes this one says which lists of packages its tests need (test_lists).

PYTHON ?= python3
venv := .venv
bin := $(venv)/bin
# sam pins older releases of some packages, so it has its own environment.
sam := .cache/sam-venv
export SAM_CLI_TELEMETRY := 0
# Without bytecode on disk, each process would compile our code again, and each of pytest's workers all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run address token tokens revoke build validate preflight deploy rate-rule smoke destroy
# Two targets that run at once would install into one environment.
.NOTPARALLEL:

run: $(if $(MODEL),needs-model $(venv)/model-$(provider)) $(venv)/run ## AGENT=greeter MODEL=openai:…: the page, the gateway and the agents on this machine
	@$(if $(AGENT),TAILRACE_ORCHESTRATOR=$(AGENT)) $(if $(MODEL),TAILRACE_MODEL='$(MODEL)') $(bin)/python -m $(or $(run_module),local)

address: $(venv)/run ## an address of the page of `make run` that lets one more browser in
	@$(bin)/python -m local.address

# On AWS: see docs/DEPLOY.md. Building needs Python 3.13, which runs the functions, but no Docker.
include deploy/python.mk
ARCHITECTURE ?= arm64
STACK ?= $(shell sed -n 's/^stack_name *= *"\([^"]*\)".*/\1/p' samconfig.toml)
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

# The environment. A stamp file names the locked set that is installed; `test` includes `run`. The functions and the
# library are imported from their folders, as on Lambda, without a build or an install.
$(venv)/run: requirements/run.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@

$(venv)/test: $(test_lists)
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(venv) $^ --find layers/tailrace functions
	@touch $@ $(venv)/run

# The package of a model's provider, in addition.
provider = $(firstword $(subst :, ,$(MODEL)))
$(venv)/model-%: requirements/model-%.txt $(venv)/run
	@echo "$*: installing its packages into $(venv) ($<)"
	@$(PYTHON) requirements/install.py $(venv) $< --find layers/tailrace functions
	@touch $@

providers := openai bedrock_converse
needs-model:
	@test -f requirements/model-$(provider).txt || { echo "tailrace: MODEL has value '$(MODEL)', but must be one of \
	$(addsuffix :NAME,$(providers)). Another provider's package you install yourself, for example .venv/bin/pip install \
	langchain langchain-anthropic, and set TAILRACE_MODEL=anthropic:NAME instead." >&2; exit 1; }

# cargo-lambda's emulator is installed with sam, without the compiler that it declares but does not need here.
$(sam)/ready: requirements/sam.txt requirements/emulators.txt
	@$(python_is_fit)
	@$(PYTHON) requirements/install.py $(sam) $^
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
