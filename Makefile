# Needs Python 3.11 or newer and make, nothing else. `make PYTHON=python3.13 test` chooses another.

ifndef PYTHON
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
endif
VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

VENV := .venv
TEST_VENV := .venv-test
PIP := -m pip --quiet --quiet --disable-pip-version-check --no-input
HISTORIES := 20000
SEED := 1
TORTURE_ARGS := --minutes 5
FUZZ_ARGS :=
SOURCES := $(shell find bridge device_sim -name '*.py') broker.yaml README.md

# The requirements of a dependency group, quoted for the shell. pip knows groups only from 25.1.
GROUP = $(shell $(TEST_VENV)/bin/python -c 'import shlex, tomllib; \
	print(shlex.join(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$(1)"]))')

.PHONY: help demo test check bench overload soak simulate torture mutate fuzz audit lock clean services
.NOTPARALLEL:

help:
	@echo 'make demo    install into $(VENV) and show 20 simulated devices (DEMO_ARGS="--for 30s")'
	@echo 'make test    run the tests, in $(TEST_VENV) (PYTEST_ARGS="-k broker")'
	@echo 'make check   ruff, mypy --strict and the rules on imports'
	@echo 'make bench   measure the bridge next to an echo and others (BENCH_ARGS="--rows closed")'
	@echo 'make overload  flood it with three times what it bears; four minutes (OVERLOAD_ARGS=...)'
	@echo 'make soak    half an hour at 70 % of what it bears (SOAK_ARGS="--minutes 5")'
	@echo 'make simulate  hold the core against the model of the tests (HISTORIES=1000000 SEED=1)'
	@echo 'make torture  kill bridges and brokers without end (SEED=1 TORTURE_ARGS="--minutes 30")'
	@echo 'make mutate  how many faults in the core its tests notice; half an hour (MUTATE_ARGS=...)'
	@echo 'make fuzz    ten million inputs for everything that reads bytes (FUZZ_ARGS="--percent 10")'
	@echo 'make audit   ask for known weaknesses of the dependencies; needs the network'
	@echo 'make lock    choose what a deployment installs, with hashes (deploy/); needs the network'
	@echo 'make clean   remove what the others made; the data of the demo stays'

demo: $(VENV)/installed
	@$(VENV)/bin/syncbridge demo $(DEMO_ARGS)

test: $(TEST_VENV)/installed services
	@$(TEST_VENV)/bin/python -m pytest $(PYTEST_ARGS)

check: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m ruff check .
	$(TEST_VENV)/bin/python -m ruff format --check .
	$(TEST_VENV)/bin/python -m mypy --strict
	$(TEST_VENV)/bin/python -m pytest --quiet tests/test_architecture.py

bench: $(TEST_VENV)/installed
	@sh .ci/services mosquitto
	@$(TEST_VENV)/bin/python -m benchmarks.suite $(BENCH_ARGS)

overload: $(TEST_VENV)/installed
	@sh .ci/services mosquitto
	@$(TEST_VENV)/bin/python -m benchmarks.overload $(OVERLOAD_ARGS)

soak: $(TEST_VENV)/installed
	@sh .ci/services mosquitto
	@$(TEST_VENV)/bin/python -m benchmarks.soak $(SOAK_ARGS)

simulate: $(TEST_VENV)/installed
	@$(TEST_VENV)/bin/python -m benchmarks.simulate --histories $(HISTORIES) --seed $(SEED)

torture: $(TEST_VENV)/installed
	@sh .ci/services mosquitto
	@$(TEST_VENV)/bin/python -m benchmarks.torture --seed $(SEED) $(TORTURE_ARGS)

mutate: $(TEST_VENV)/installed
	@$(TEST_VENV)/bin/python -m benchmarks.mutation $(MUTATE_ARGS)

# Guided by coverage where atheris can be installed, else without.
fuzz: $(TEST_VENV)/installed
	@$(TEST_VENV)/bin/python $(PIP) install $(call GROUP,fuzz) || echo 'atheris cannot be installed here'
	@$(TEST_VENV)/bin/python -m benchmarks.fuzz $(FUZZ_ARGS)

# Not a part of `make check`: what is known today fails a build of yesterday, and it asks the network.
audit: $(TEST_VENV)/installed
	@$(TEST_VENV)/bin/python $(PIP) install $(call GROUP,audit)
	@$(TEST_VENV)/bin/python -m pip_audit --skip-editable $(AUDIT_ARGS)

# After a change of the dependencies, and whenever newer releases are wanted.
lock: $(TEST_VENV)/installed
	@$(TEST_VENV)/bin/python deploy/lock.py

services:
	@sh .ci/services mosquitto mosquitto-clients chromium curl openssl

clean:
	rm -rf $(VENV) $(TEST_VENV) build dist mutants findings .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A real installation, so that the demo also shows that the package is whole.
$(VENV)/installed: $(VENV)/python-$(VERSION) pyproject.toml $(SOURCES)
	@echo 'Installing syncbridge into $(VENV) …'
	@$(VENV)/bin/python $(PIP) install .
	@touch $@

# The tests run on the checkout itself. The groups are read here, as pip knows them only from 25.1.
$(TEST_VENV)/installed: $(TEST_VENV)/python-$(VERSION) pyproject.toml bridge/__init__.py
	@echo 'Installing syncbridge and its tools into $(TEST_VENV) …'
	@$(TEST_VENV)/bin/python -c 'import tomllib; \
	groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; \
	print(*groups["test"], *groups["check"], *groups["mutation"], sep="\n")' > $(TEST_VENV)/requirements.txt
	@$(TEST_VENV)/bin/python $(PIP) install --editable '.[speed,tracing]' --requirement $(TEST_VENV)/requirements.txt
	@touch $@

# Named after the version, so that another PYTHON makes a new environment.
%/python-$(VERSION):
	@test -n "$(VERSION)" || { echo 'No Python 3.11 or newer$(if $(PYTHON), that runs as $(PYTHON),)' \
	'was found; name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo '$(PYTHON) is Python $(VERSION); 3.11 or newer is needed' >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	echo '$(PYTHON) cannot make virtual environments.' >&2; \
	echo 'On Debian and Ubuntu: apt-get install python$(VERSION)-venv' >&2; exit 1; }
	@rm -rf $*
	@"$(PYTHON)" -m venv $*
	@touch $@
