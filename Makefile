# Everything a newcomer needs: `make up` and `make test`. `make help` lists the rest.
# The first of these that is 3.12 or newer; .python-version names the one that is developed with.
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.14 python3.12,$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $(name))) $(BROUGHT)/current/bin/python3)
# Where none is, as on Debian 12, uv brings one; uv knows its hash, and these are uv's.
BROUGHT := .python
UV := uv==0.13.9 --hash=sha256:d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 --hash=sha256:5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help up demo test check fmt bench tamper chaos matrix flood adversary injections selfmod units bare install server deb lock schemas nats-cli clean

##@ To begin with
help: ## list the targets
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(STAMP) ## run the example fleet here; Ctrl-C stops it
	@$(BIN)/agentbus up

demo: $(STAMP) ## run every journey without a person, and say what passed
	@$(BIN)/agentbus demo

test: $(STAMP) ## run all tests against a real nats-server
	@$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder --reruns 1

##@ For each change
check: $(STAMP) ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fmt: $(STAMP) ## format the code and sort the imports
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

##@ To see what holds
bench: $(STAMP) ## measure against raw nats-py in the same run, and say which targets are met
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(ARGS)

tamper: $(STAMP) ## change a trail in every way we know, and say what the auditor saw
	@$(BIN)/python -m tests.tamper

chaos: $(STAMP) ## break a fleet under load, and say what was lost; QUICK=1 for a minute of it
	@$(BIN)/python -m tests.chaos $(if $(QUICK),--quick) $(ARGS)

matrix: $(STAMP) ## try every subject with every key of a fleet, and compare with what is declared
	@$(BIN)/python -m tests.matrix

flood: $(STAMP) ## 10,000 failed logins in 10 s, and what they cost those who work; ARGS=--tls for handshakes
	@$(BIN)/python -m tests.flood $(ARGS)

adversary: $(STAMP) ## attack a fleet with its own keys, over the wire, and count what was refused
	@$(BIN)/python -m tests.adversary

injections: $(STAMP) ## measure what signals of injected instructions find, on texts they were not written for
	@$(BIN)/python -m tests.injections $(ARGS)

selfmod: $(STAMP) ## change agents badly and well, for minutes, and say what is live
	@$(BIN)/python -m tests.selfmod

units: $(STAMP) ## have systemd judge the units, and boot one with a fleet that is killed, frozen, limited and removed
	@$(BIN)/python -m tests.units $(if $(STATIC),--static)

bare: $(STAMP) ## follow the operator's page on a Debian that has nothing (as root, with debootstrap)
	@$(BIN)/python -m tests.bare $(ARGS)

##@ On a server
server: $(STAMP) ## put the program on this server: /opt/agentbus, units, users (as root)
	@$(BIN)/agentbus install $(ARGS)

deb: $(STAMP) ## make a Debian package of the program, in dist/
	@$(BIN)/agentbus install --deb dist $(ARGS)

##@ The rest
schemas: $(STAMP) ## write the JSON Schemas and the documents that are generated
	@$(BIN)/python -m agents.generating

nats-cli: $(STAMP) ## build the `nats` command into the environment, where Go is installed
	@PYTHON=$(PYTHON) .ci/nats-cli $(BIN)

install: $(STAMP) ## make the environment

lock: $(STAMP) ## resolve the dependencies again
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--all-extras --group dev pyproject.toml --output-file requirements.lock

$(STAMP): requirements.lock pyproject.toml | $(filter $(BROUGHT)/%,$(PYTHON))
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing, once: about a minute"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BROUGHT)/current/bin/python3:
	@echo "no Python 3.12 or newer is here: uv brings one, once"
	@python3 -m venv $(BROUGHT)/uv
	@echo '$(UV)' | $(BROUGHT)/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	@$(BROUGHT)/uv/bin/uv python install --quiet --no-bin --install-dir $(BROUGHT) 3.13
	@ln -sfn $$(basename $(BROUGHT)/cpython-3.13.*) $(BROUGHT)/current

clean: ## remove the environment and the example fleet's state
	rm -rf $(VENV) $(BROUGHT) .agentbus
