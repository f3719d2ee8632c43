"""A fault at a request of a push: the repository stays as it was, or has exactly one new commit.

A part of the campaign that benchmarks/push_faults.py runs in full.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hub.campaign import KINDS, SCENARIOS, STATUSES, Campaign

from hubdistill.localhub import Fault, FaultPlan


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with Campaign(tmp_path_factory.mktemp("campaign")).running() as running:
        yield running


@pytest.fixture(scope="module")
def requests(campaign: Campaign) -> dict[str, int]:
    return {name: campaign.count_requests(scenario) for name, scenario in SCENARIOS.items()}


def no_violations(campaign: Campaign) -> bool:
    found = [violation for tally in campaign.tally.values() for violation in tally.violations]
    cases = sum(tally.cases for tally in campaign.tally.values())
    campaign.tally.clear()
    assert cases
    assert found == []
    return True


@pytest.mark.parametrize("kind", ["reset before", "reset after", "truncated", "corrupt"])
def test_new_repository_survives_a_fault_at_every_request(
    campaign: Campaign, requests: dict[str, int], kind: str
) -> None:
    scenario = SCENARIOS["new repository"]
    for index in range(requests[scenario.name]):
        campaign.disturb(scenario, KINDS[kind], index)
    tally = campaign.tally[kind]
    assert tally.cases == requests[scenario.name]
    # One lost connection or late answer is made good; what is damaged on the way may be told instead.
    assert kind == "corrupt" or tally.refusals == []
    assert no_violations(campaign)


def test_new_repository_survives_every_status_in_turn(campaign: Campaign, requests: dict[str, int]) -> None:
    scenario = SCENARIOS["new repository"]
    kinds = [*map(str, STATUSES), "504, but done", "slow"]
    for index in range(requests[scenario.name]):
        campaign.disturb(scenario, KINDS[kinds[index % len(kinds)]], index)
    assert [refusal for tally in campaign.tally.values() for refusal in tally.refusals] == []
    assert no_violations(campaign)


@pytest.mark.parametrize("scenario", ["second push", "new branch", "pull request"])
def test_other_pushes_survive_kinds_in_turn(
    campaign: Campaign, requests: dict[str, int], scenario: str
) -> None:
    kinds = ["reset after", "503", "reset before", "504, but done", "truncated", "429"]
    for index in range(requests[scenario]):
        campaign.disturb(SCENARIOS[scenario], KINDS[kinds[index % len(kinds)]], index)
    # Just after the commit has landed, whatever the turn is.
    campaign.disturb(SCENARIOS[scenario], KINDS["reset after from then on"], requests[scenario] - 2)
    assert no_violations(campaign)


def test_killed_pushes_leave_all_or_nothing(campaign: Campaign, requests: dict[str, int]) -> None:
    rng = random.Random(12)
    for name in ("new repository", "second push", "pull request") * 2:
        campaign.kill(SCENARIOS[name], rng, requests[name])
    assert campaign.tally["kill -9"].refusals, "each push was done before it could be killed"
    assert no_violations(campaign)


@pytest.mark.parametrize("same_files", [False, True])
def test_two_pushers_lose_nothing(campaign: Campaign, same_files: bool) -> None:
    for number in range(3):
        campaign.race(number, same_files=same_files)
    assert no_violations(campaign)


def test_stored_objects_are_not_sent_again(campaign: Campaign) -> None:
    repo_id = campaign.new_repo()
    campaign.hub.faults = FaultPlan(Fault(403, "commit", times=None))
    campaign.hub.clear_requests()
    with pytest.raises(Exception, match="may not do this"):
        campaign.send(campaign.old, repo_id)
    sent = [each for each in campaign.hub.requests if each.route in ("lfs upload", "lfs part")]
    weights, figure = campaign.old / "model.safetensors", campaign.old / "figures/quality.png"
    assert sum(each.bytes_in for each in sent) == weights.stat().st_size + figure.stat().st_size
    campaign.hub.faults = FaultPlan()
    campaign.hub.clear_requests()
    assert campaign.send(campaign.old, repo_id).commit
    assert not any(each.route in ("lfs upload", "lfs part") for each in campaign.hub.requests)


def test_upload_that_breaks_off_sends_only_what_is_missing(campaign: Campaign) -> None:
    campaign.hub.faults = FaultPlan(Fault("corrupt", "lfs part", index=1))
    campaign.hub.clear_requests()
    repo_id = campaign.new_repo()
    assert campaign.send(campaign.old, repo_id).commit
    campaign.hub.faults = FaultPlan()
    routes = [each.route for each in campaign.hub.requests]
    # The weights arrived damaged and are sent anew, in three parts; the figure that is stored is not.
    assert (routes.count("lfs part"), routes.count("lfs upload"), routes.count("commit")) == (6, 1, 1)
