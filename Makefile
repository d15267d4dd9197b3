# Everything here needs only Python, make and git: each target sets up what it uses, in this checkout.

# The tests run on the newest Airflow in .venv, and on each other one in an environment of its own. The newest runs on
# each of these versions of Python, of which the first is taken that is found; an older one on that of its line.
PYTHONS ?= $(shell awk '!/^\#/ {print $$2}' dev/airflow_versions.txt | sort -ruV)
VERSIONS := $(shell awk '!/^\#/ {print $$1}' dev/airflow_versions.txt)
NEWEST := $(lastword $(VERSIONS))
OLDER := $(filter-out $(NEWEST),$(VERSIONS))
UV_VERSION := 0.13.9
AIRFLOW_PORT ?= 8080
FAST := not model and not scheduler and not object_store and not pods and not celery and not browser
# Where a machine sets this, each process compiles Airflow again, which takes longer than the tests themselves.
unexport PYTHONDONTWRITEBYTECODE
IN_PARALLEL := -n 2 --dist loadgroup

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z0-9.-]+:.*  ## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready  ## run an example DAG in a real Airflow against the sandbox, and show what happened
	.venv/bin/python -m dev.demo

airflow: .venv/ready  ## the same with Airflow's web UI, until Ctrl-C (AIRFLOW_PORT=8080)
	.venv/bin/python -m dev.webui $(AIRFLOW_PORT)

unit: .venv/ready  ## the fast tests, which start no process, for while you write: 20 seconds
	.venv/bin/pytest $(IN_PARALLEL) -q -m 'not system and not slow and $(FAST)'

test: .venv/ready  ## the tests on the newest Airflow, without the slow ones below
	.venv/bin/pytest $(IN_PARALLEL) -m '$(FAST)'

test-matrix: test $(OLDER:%=test-%)  ## the same on all of dev/airflow_versions.txt; on one: `make test-3.1`

# What is slow is not about Airflow, but may be about another dependency.
$(OLDER:%=test-%): test-%: .venv-%/ready
	OTPIQ_TEST_FUZZ=small .venv-$*/bin/pytest $(IN_PARALLEL) -m '$(if $(filter lowest,$*),,not slow and )$(FAST)'

test-$(NEWEST): test

test-model: .venv/ready  ## what can happen to a broadcast, explored further than in `make test`: minutes
	.venv/bin/pytest $(IN_PARALLEL) -m model

test-scheduler: .venv/ready  ## faults and killed tasks under a real scheduler, on SQLite
	.venv/bin/pytest -m scheduler

test-postgresql: .venv/system-ready  ## the same on PostgreSQL, of Debian's package postgresql
	OTPIQ_TEST_DATABASE=postgresql .venv/bin/pytest -m scheduler

test-object-store: .venv/system-ready  ## a broadcast whose tasks share nothing but S3, of moto's server
	.venv/bin/pytest $(IN_PARALLEL) -m object_store

test-celery: .venv/system-ready  ## two Celery workers that are killed, with Debian's redis-server and postgresql
	.venv/bin/pytest -m celery

test-pods: .venv/system-ready  ## whole campaigns whose every task is a pod, without a cluster; needs root
	.venv/bin/pytest -m pods

test-browser: .venv/system-ready  ## the connection form and the trigger form in Debian's chromium
	.venv/bin/pytest -m browser

docs: .venv/docs-ready  ## the documentation as a site, in docs/_build/html; a warning is an error
	.venv/bin/sphinx-build --quiet --fresh-env --nitpicky --fail-on-warning --keep-going docs docs/_build/html

bench: .venv/bench-ready  ## speeds beside other providers, as ratios of one run
	.venv/bin/python -m dev.bench

dist: .venv/dist-ready  ## build the sdist and the wheel in dist/, and check them
	.venv/bin/python -m dev.dist

audit: .venv/ready  ## known vulnerabilities of the dependencies; needs the internet, so CI leaves it out
	.venv/bin/uv pip compile --quiet --no-header --no-annotate --extra audience --extra sandbox \
	    --constraint dev/constraints/$(NEWEST).txt --output-file .venv/audited.txt pyproject.toml
	.venv/bin/uv tool run pip-audit --strict --disable-pip --no-deps --requirement .venv/audited.txt

check: .venv/check-ready  ## formatting, ruff with Airflow's rules, strict mypy, the layers of imports
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

format: .venv/ready  ## rewrite the code as `make check` wants it
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

constraints: .venv-constraints/ready  ## pin what fits: for each version of Airflow, and the lowest
	.venv-constraints/bin/python -m dev.constraints

clean:  ## remove everything that the targets made
	rm -rf .venv .venv-* .airflow-* dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache

# uv alone: a new version of Airflow has no constraints yet.
.venv-constraints/ready:
	python=$$(dev/find_python.sh $(PYTHONS)) && "$$python" -m venv --clear .venv-constraints
	.venv-constraints/bin/pip install --quiet uv==$(UV_VERSION)
	touch $@

.venv/ready: dev/constraints/$(NEWEST).txt dev/airflow_versions.txt pyproject.toml
	$(call install,.venv,$(NEWEST),$(PYTHONS))

.venv/%-ready: .venv/ready
	.venv/bin/uv pip install --quiet --python .venv/bin/python --constraint dev/constraints/$(NEWEST).txt --editable '.[$*]'
	touch $@

$(OLDER:%=.venv-%/ready): .venv-%/ready: dev/constraints/%.txt dev/airflow_versions.txt pyproject.toml
	$(call install,.venv-$*,$*,$$(awk '$$1 == "$*" {print $$2}' dev/airflow_versions.txt))

# An environment, the version of Airflow that it holds, and the versions of Python that it may have.
define install
	python=$$(dev/find_python.sh $(3)) && "$$python" -m venv --clear $(1)
	$(1)/bin/pip install --quiet uv==$(UV_VERSION)
	$(1)/bin/uv pip install --quiet --compile-bytecode --python $(1)/bin/python \
	    --constraint dev/constraints/$(2).txt --editable '.[dev]'
	touch $(1)/ready
endef

.PHONY: help demo airflow unit test test-matrix $(VERSIONS:%=test-%) test-model test-scheduler test-postgresql test-object-store \
    test-celery test-pods test-browser docs bench dist audit check format constraints clean
