# `sam build` calls one target for each function and layer, without Docker. It sets ARTIFACTS_DIR, which becomes /var/task
# for a function and /opt for a layer, and runs in a copy of the CodeUri or ContentUri. Wheels are for the Lambda's
# architecture, whatever this machine's is.

python := $(firstword $(foreach each,python3.13 $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13),\
  $(shell $(each) -c 'import sys; print(sys.executable)' 2>/dev/null)))
machine := $(if $(filter arm64,$(architecture)),aarch64,$(architecture))
packages := $(ARTIFACTS_DIR)/python

# The runtime has boto3 and its dependencies; a copy in a layer would take precedence over them.
define install
	$(python) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-compile --no-deps \
	  --require-hashes --only-binary :all: --implementation cp --python-version 3.13 \
	  $(addprefix --platform manylinux,$(addsuffix _$(machine),_2_34 _2_28 2014)) \
	  --target "$(packages)" --requirement requirements.txt
	rm -rf "$(packages)/bin"
	find "$(packages)" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
	find "$(packages)" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.c' -o -name '*.h' \) -delete
endef

# Packaging changes the files' times, and a .pyc that is checked against them would be ignored. So these are unchecked
# (PEP 552). They name the sources by their paths on Lambda, under $(1).
compile = $(python) -m compileall -q --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p $(1) "$(ARTIFACTS_DIR)"

.PHONY: ready build-TailraceLayer build-AgentsLayer build-RuntimeLayer

build-TailraceLayer: ready
	$(install)
	cp -R tailrace "$(packages)/"
	find "$(packages)" -type d -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,/opt)

build-AgentsLayer: ready
	$(install)
	$(call compile,/opt)

# layers/runtime has its own Makefile.
build-RuntimeLayer: ready
	$(MAKE) --makefile Makefile PYTHON="$(python)" $@

# Every function gets all packages of functions/, and imports those that it needs.
build-%: ready
	cp -R . "$(ARTIFACTS_DIR)/"
	find "$(ARTIFACTS_DIR)" -type d -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,/var/task)

ready:
	@test -n "$(python)" || { echo "Building needs python3.13, which runs the functions, on the PATH." >&2; exit 1; }
