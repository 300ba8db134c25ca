"""The collectives hop by hop: against distances counted by hand, and nothing is lost or added twice on the way."""

from collections import Counter

import numpy as np
import pytest
import torch

from helpers.show import hops as draw
from helpers.show.hops import COLLECTIVES, Hops, Watched, film, shots

# slices over the busiest wire on 5 chips and on 8, on paper: (n - 1) on a line, half of it around a ring
PAPER = {(5, False): 4, (5, True): 2, (8, False): 7, (8, True): 3.5}


def distance(chips, closed):
    apart = (torch.arange(chips)[:, None] - torch.arange(chips)[None]).abs()
    return torch.minimum(apart, chips - apart) if closed else apart


@pytest.mark.parametrize(("chips", "closed"), PAPER)
def test_a_slice_reaches_a_chip_after_as_many_hops_as_it_is_away(chips, closed):
    shot = film("all_gather", chips, closed)
    for hop, held in enumerate(shot.held):
        some = held.any(-1).any(1)  # (chips, slices): one half or both
        assert torch.equal(some, distance(chips, closed) <= hop)
        assert all(held[chip, :, chip, chip].all() for chip in range(chips)), "its own"
    assert shot.held[-1].any(-1).all() and shot.busiest[-1] == PAPER[chips, closed]
    parts = shot.held[-1].nonzero()
    assert torch.equal(parts[:, 2], parts[:, 3]), "a slice is made of its own chip's part only"


@pytest.mark.parametrize(("chips", "closed"), PAPER)
def test_every_part_of_a_sum_is_somewhere_and_only_once(chips, closed):
    shot = film("reduce_scatter", chips, closed)
    for held in shot.held:
        assert (held.sum(0) == 1).all(), "counted twice, or lost"
    for chip, slices in enumerate(shot.held[-1]):
        assert slices[:, chip].all() and not slices[:, torch.arange(chips) != chip].any()
    assert shot.busiest[-1] == PAPER[chips, closed]


@pytest.mark.parametrize(("chips", "closed"), PAPER)
def test_an_all_reduce_is_both_and_costs_both(chips, closed):
    shot = film("all_reduce", chips, closed)
    halves = film("reduce_scatter", chips, closed), film("all_gather", chips, closed)
    assert shot.held[-1].all() and shot.busiest[-1] == sum(half.busiest[-1] for half in halves)
    over = Counter()
    for start, end, _, share in (handed for hop in shot.handed for handed in hop):
        over[start, end] += share
    # No single wire carries all that is waited for: on a line the busy ends of one half are the idle ones of the other.
    assert set(over.values()) == ({2 * PAPER[chips, closed]} if closed else {chips})
    assert len(shot.held) == len(shot.handed) == len(shot.busiest)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_a_wire_carries_one_slice_at_a_time(collective):
    for closed in (False, True):
        shot = film(collective, 8, closed)
        for before, after, handed in zip([0, *shot.busiest], shot.busiest, shot.handed):
            assert after - before <= 1 and max(Counter(one[:2] for one in handed).values(), default=0) <= 1


@pytest.mark.parametrize(("chips", "closed"), PAPER)
def test_a_reduce_scatter_is_an_all_gather_backwards(chips, closed):
    gather, scatter = film("all_gather", chips, closed), film("reduce_scatter", chips, closed)
    backwards = [sorted((end, start, number, share) for start, end, number, share in hop) for hop in gather.handed[1:]]
    assert backwards[::-1] == scatter.handed[1:]


def test_a_partition_sends_nothing():
    shot = film("mesh_partition", 8, True)
    assert shot.held[0].all() and shot.busiest == [0, 0] and shot.handed == [[], []]
    assert torch.equal(shot.held[1].all(-1).all(1), torch.eye(8, dtype=torch.bool))


def test_a_wire_that_fails_is_seen(monkeypatch):
    whole = Watched.hand

    def cut(self, tensor, place, way):  # between chips 3 and 4 nothing goes forward
        return None if (place, way) == (3, 1) else whole(self, tensor, place, way)

    monkeypatch.setattr(Watched, "hand", cut)
    held = film("all_gather", 8, False).held[-1].any(-1).any(1)
    assert not held[4:, :4].any() and held[:4].all(), "what stands beyond the cut lacks what stands before it"


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="all_scatter is none of the collectives: all_gather, reduce_scatter"):
        film("all_scatter", 8, False)


def test_the_strip_shows_what_is_held_and_what_crosses():
    figure = shots([("all_gather", "a line", 3), ("reduce_scatter", "a ring", 2)], 8)
    gathered, summed = figure.axes
    assert gathered.get_title("left") == "all_gather on a line, after hop 3 of 7: 3 slices over the busiest link"
    assert len([text for text in gathered.texts if text.get_text().isdigit()]) == 2 * (8 - 3)
    assert sum("½" in text.get_text() for text in summed.texts) == sum(
        (1 + (abs(start - end) > 1)) * (share < 1) for start, end, _, share in film("reduce_scatter", 8, True).handed[2]
    )
    picture = np.asarray(gathered.images[0].get_array())
    grey = (np.abs(picture - draw.to_rgb(draw.PALE)) < 1e-6).all(-1)[0]
    lacks = [int(grey[chip * 20 : chip * 20 + 16].sum()) // 2 for chip in range(8)]
    assert lacks == [4, 3, 2, 1, 1, 2, 3, 4], "three to each side have come"
    assert len(summed.texts) > 16, "the wires that close the ring are drawn at both edges"


def test_the_slider_follows_the_collective():
    live = Hops()
    button = live.controls[2]
    assert live.hop.options == tuple(range(8)) and button.max == 7
    live.collective.value = "all_reduce"
    assert live.hop.options == tuple(range(15)) and button.max == 14
    before = live.picture.value
    live.hop.value = 9
    assert live.picture.value != before
    button.value = 9  # as the page sets it while it plays
    live.shape.value = "a ring"
    assert live.hop.options == tuple(range(9)) and live.hop.value == 0 == button.value and button.max == 8
    assert live._repr_mimebundle_()[0]["image/png"].startswith("iVBOR")
