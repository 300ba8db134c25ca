"""lessons/claims.md is what tools/claims.py makes today, and each verdict would be another if the facts were."""

from dataclasses import replace

import pytest

from helpers.planner import published
from tools import claims


def test_the_page_is_what_is_worked_out_today():
    assert claims.PAGE.read_text() == claims.page()


def test_each_claim_has_a_verdict_and_a_cell_that_shows_it():
    assert len(claims.CLAIMS) >= 10
    for claim in claims.CLAIMS:
        verdict, why = claim.check()
        assert verdict in (claims.HOLDS, claims.FALSE, claims.OPEN) and len(why) > 40
        assert "cell" in claims.where(claim)


def test_a_cell_that_is_gone_is_named():
    lost = replace(claims.CLAIMS[0], cell="no_such_name")
    with pytest.raises(ValueError, match="No cell of 07_cost.ipynb contains 'no_such_name'"):
        claims.where(lost)


def test_verdicts_follow_the_facts(monkeypatch):
    """Were a Galaxy's chips as large as needed, or speedups as claimed, the page would say so."""
    assert claims.scaling()[0] == claims.OPEN and claims.large_on_one_chip()[0] == claims.OPEN
    assert claims.hours_on_a_cpu()[0] == claims.FALSE
    monkeypatch.setattr(claims, "FORWARD_ON_A_CPU", 100.0)
    assert claims.hours_on_a_cpu()[0] == claims.HOLDS
    monkeypatch.setattr(published, "CLAIMED_SPEEDUP", {"n150": 1, "n300": 1.5, "t3000": 1.8, "galaxy": 2})
    assert claims.scaling()[0] == claims.HOLDS
    monkeypatch.setattr(claims, "SYSTEMS", {"n150": claims.SYSTEMS["p150"]})
    assert claims.large_on_one_chip()[0] == claims.HOLDS
