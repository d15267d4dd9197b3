# Each target needs only Python, make and git, and installs what it uses in this checkout.

# .venv has the newest Airflow, on the first of these versions of Python that is found. Each older Airflow has its own
# environment, on the Python of its line.
PYTHONS ?= $(shell awk '!/^\#/ {print $$2}' dev/airflow_versions.txt | sort -ruV)
VERSIONS := $(shell awk '!/^\#/ {print $$1}' dev/airflow_versions.txt)
NEWEST := $(lastword $(VERSIONS))
OLDER := $(filter-out $(NEWEST),$(VERSIONS))
UV_VERSION := 0.13.9
AIRFLOW_PORT ?= 8080
FAST := not live and not model and not scheduler and not object_store and not pods and not celery and not browser
# If this is set, each process compiles Airflow again, which takes longer than the tests.
unexport PYTHONDONTWRITEBYTECODE
IN_PARALLEL := -n 2 --dist loadgroup

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z0-9.-]+:.*  ## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready  ## run an example DAG in a real Airflow against the sandbox, and show its effect
	.venv/bin/python -m dev.demo

airflow: .venv/ready  ## the same with Airflow's web UI, until Ctrl-C (AIRFLOW_PORT=8080)
	.venv/bin/python -m dev.webui $(AIRFLOW_PORT)

unit: .venv/ready  ## the fast tests, which start no process, for the inner loop
	.venv/bin/pytest $(IN_PARALLEL) -q -m 'not system and not slow and $(FAST)'

test: .venv/ready  ## all tests on the newest Airflow but those below
	.venv/bin/pytest $(IN_PARALLEL) -m '$(FAST)'

test-matrix: test $(OLDER:%=test-%)  ## the same on each line of dev/airflow_versions.txt; on one: `make test-3.1`

# Slow tests do not depend on Airflow, but some depend on other packages.
$(OLDER:%=test-%): test-%: .venv-%/ready
	OTPIQ_TEST_FUZZ=small .venv-$*/bin/pytest $(IN_PARALLEL) -m '$(if $(filter lowest,$*),,not slow and )$(FAST)'

test-$(NEWEST): test

test-pre:  ## the tests of `make unit` on the newest pre-release of Airflow and of all other dependencies
	python=$$(dev/find_python.sh $(PYTHONS)) && "$$python" -m venv --clear .venv-pre
	.venv-pre/bin/pip install --quiet uv==$(UV_VERSION)
	.venv-pre/bin/uv pip install --quiet --compile-bytecode --prerelease allow --python .venv-pre/bin/python \
	    --editable '.[dev]'
	.venv-pre/bin/uv pip freeze --python .venv-pre/bin/python | grep '^apache-airflow'
	.venv-pre/bin/pytest $(IN_PARALLEL) -q -m 'not system and not slow and $(FAST)'

test-model: .venv/ready  ## explore faults and preemptions of a broadcast: minutes
	.venv/bin/pytest $(IN_PARALLEL) -m model

test-scheduler: .venv/ready  ## faults and killed tasks under a real scheduler, on SQLite
	.venv/bin/pytest -m scheduler

test-postgresql: .venv/system-ready  ## the same on PostgreSQL (Debian's postgresql)
	OTPIQ_TEST_DATABASE=postgresql .venv/bin/pytest -m scheduler

test-object-store: .venv/system-ready  ## a broadcast whose tasks share only an S3
	.venv/bin/pytest $(IN_PARALLEL) -m object_store

test-celery: .venv/system-ready  ## two Celery workers that are killed (Debian's redis-server, postgresql); needs root
	.venv/bin/pytest -m celery

test-pods: .venv/system-ready  ## tasks in pods without a cluster; needs root
	.venv/bin/pytest -m pods

test-browser: .venv/system-ready  ## Airflow's forms in a browser (Debian's chromium, postgresql)
	OTPIQ_TEST_DATABASE=postgresql .venv/bin/pytest -m browser

test-live: .venv/ready  ## compare OTPIQ's responses with the documentation; needs OTPIQ_API_KEY, so it is not in CI
	@.venv/bin/python -m dev.live

docs: .venv/docs-ready  ## the documentation as a site, in docs/_build/html; a warning is an error
	.venv/bin/sphinx-build --quiet --fresh-env --nitpicky --fail-on-warning --keep-going docs docs/_build/html

bench: .venv/bench-ready  ## benchmarks, as ratios of one run
	.venv/bin/python -m dev.bench

dist: .venv/dist-ready  ## build the sdist and the wheel in dist/, and check them
	.venv/bin/python -m dev.dist

audit: .venv/ready  ## list known vulnerabilities of the dependencies; needs the internet, so it is not in CI
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

constraints: .venv-constraints/ready  ## pin the dependencies of each version of Airflow, and the lowest ones
	.venv-constraints/bin/python -m dev.constraints

clean:  ## remove everything that the targets made
	rm -rf .venv .venv-* .airflow-* dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Only uv: a new version of Airflow has no constraints yet.
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

# Arguments: an environment, its version of Airflow, and its possible versions of Python.
define install
	python=$$(dev/find_python.sh $(3)) && "$$python" -m venv --clear $(1)
	$(1)/bin/pip install --quiet uv==$(UV_VERSION)
	$(1)/bin/uv pip install --quiet --compile-bytecode --python $(1)/bin/python \
	    --constraint dev/constraints/$(2).txt --editable '.[dev]'
	touch $(1)/ready
endef

.PHONY: help demo airflow unit test test-matrix $(VERSIONS:%=test-%) test-pre test-model test-scheduler test-postgresql test-object-store \
    test-celery test-pods test-browser test-live docs bench dist audit check format constraints clean
