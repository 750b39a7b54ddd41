# `sam build` calls one target for each function and layer, without Docker. It sets ARTIFACTS_DIR, which becomes /var/task
# for a function and /opt for a layer, and runs in a copy of the CodeUri or ContentUri. Wheels are for the Lambda's
# architecture, whatever this machine's is.

here := $(dir $(lastword $(MAKEFILE_LIST)))
include $(here)python.mk
python := $(python313)
machine := $(if $(filter arm64,$(architecture)),aarch64,$(architecture))
packages := $(ARTIFACTS_DIR)/python

pip = $(python) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-compile \
  --only-binary :all: --implementation cp --python-version 3.13 \
  $(addprefix --platform manylinux,$(addsuffix _$(machine),_2_34 _2_28 2014))

# The runtime has boto3 and its dependencies; a copy in a layer would take precedence over them.
define install
	$(pip) --no-deps --require-hashes --target "$(packages)" --requirement requirements.txt
	rm -rf "$(packages)/bin"
	find "$(packages)" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
	find "$(packages)" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.c' -o -name '*.h' \) -delete
endef

# A function's own packages. What the layers have too stays at their version.
define install_own
	sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' $(here)../layers/tailrace/requirements.txt \
	  $(here)../layers/agents/requirements.txt > constraints.txt
	$(pip) --constraint constraints.txt --target "$(ARTIFACTS_DIR)" --requirement $(folder)/requirements.txt
	rm -rf "$(ARTIFACTS_DIR)/bin"
endef

# Packaging changes the files' times, and a .pyc that is checked against them would be ignored. So these are unchecked
# (PEP 552). They name the sources by their paths on Lambda, under $(1).
compile = $(python) -m compileall -q --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p $(1) "$(ARTIFACTS_DIR)"

.PHONY: ready build-TailraceLayer build-AgentsLayer build-ModelLayer build-RuntimeLayer

# No function is a terminal: the command and the conformance suite are for users' machines.
build-TailraceLayer: ready
	$(install)
	cp -R tailrace "$(packages)/"
	cd "$(packages)/tailrace" && rm -r __main__.py cli conformance
	find "$(packages)" -type d -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,/opt)

build-AgentsLayer: ready
	$(install)
	$(call compile,/opt)

# Without a model there is no list. Lambda refuses a layer without any file.
build-ModelLayer: ready
	mkdir -p "$(packages)"
	$(if $(wildcard requirements.txt),$(install),echo none > "$(packages)/no-model.txt")
	$(call compile,/opt)

# layers/runtime has its own Makefile.
build-RuntimeLayer: ready
	$(MAKE) --makefile Makefile PYTHON="$(python)" $@

# A function gets its own folder of functions/, and those that are no functions and so are there for all. What Lambda
# calls is in function.py, because the template does not know the folder's name. It may begin with a digit or have a -.
build-%Function: ready
	@test -n "$(folder)" || { echo "functions/ has no folder with a handler.py for $*Function." >&2; exit 1; }
	$(if $(wildcard $(folder)/requirements.txt),$(install_own))
	cp -R $(folder) $(shared) "$(ARTIFACTS_DIR)/"
	printf '%s\n' "from importlib import import_module" "" "from tailrace.sam_local import checked" "" \
	  "handler = checked(import_module(\"$(folder).handler\").handler)" > "$(ARTIFACTS_DIR)/function.py"
	find "$(ARTIFACTS_DIR)" -type d -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,/var/task)

# The names in template.yaml are the folders' without what is no letter or digit, in upper or lower case.
functions := $(patsubst %/handler.py,%,$(wildcard */handler.py))
shared := $(filter-out $(functions),$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))
plain = $(shell printf %s '$(1)' | tr -cd '[:alnum:]' | tr '[:upper:]' '[:lower:]')
folder = $(firstword $(foreach each,$(functions),$(if $(filter $(call plain,$*),$(call plain,$(each))),$(each))))

ready:
	@test -n "$(python)" || { echo "Building needs Python 3.13; \`make build\` says how to get it." >&2; exit 1; }
