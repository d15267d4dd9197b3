"""
In any order of events, each person is in exactly one campaign that starts.

`make unit` explores all scenarios of `model` within one preemption. `make test-model` explores them within one
preemption and one fault and within two preemptions, and finds the mutants. `OTPIQ_TEST_WALKS`, such as
`"600 17"`, adds random walks with more of both, for 600 seconds and from seed 17 on.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.broadcast.model import mutants, scenario, world
from tests.broadcast.model.choices import AtRandom, Budget
from tests.broadcast.model.scenarios import SCENARIOS


@pytest.fixture
def installed() -> Iterator[None]:
    with world.installed():
        yield


def explore(name: str, budget: Budget, until: str | None = None) -> str:
    """Explore a scenario, and return the violations, each with its trace."""
    fresh = replace(SCENARIOS[name])
    explored = scenario.explore(fresh, budget, until)
    print(f"{name}, {budget.preemptions} preemptions, {budget.faults} faults: {explored.executions} executions")
    return "\n".join("\n".join([text, *scenario.trace(fresh, choices)]) for text, choices in explored.wrong.items())


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", SCENARIOS)
def test_within_one_preemption_nothing_goes_wrong(name: str) -> None:
    assert explore(name, Budget(1, 0)) == ""


@pytest.mark.model
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("budget", [Budget(1, 1), Budget(2, 0)], ids=["1 and 1", "2 and 0"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_within_preemptions_and_faults_nothing_goes_wrong(name: str, budget: Budget) -> None:
    assert explore(name, budget) == ""


@pytest.mark.model
@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_a_rule_that_is_missing_is_found(name: str) -> None:
    mutant = mutants.MUTANTS[name]
    with mutants.applied(mutant), world.installed():
        assert mutant.wrong in explore(mutant.scenario, mutant.budget, until=mutant.wrong)


@pytest.mark.model
@pytest.mark.usefixtures("installed")
@pytest.mark.skipif("OTPIQ_TEST_WALKS" not in os.environ, reason="OTPIQ_TEST_WALKS is not set")
def test_on_random_walks_nothing_goes_wrong() -> None:
    seconds, seed = map(int, os.environ["OTPIQ_TEST_WALKS"].split())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, each in SCENARIOS.items():
            assert (name, seed, each.run(AtRandom(seed))) == (name, seed, [])
        seed += 1
