"""Simultaneous requests are scored together, and each gets its own results."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_model.api.batching import Batcher

THREAD = ThreadPoolExecutor(1)


def batcher(calls: list, most: int = 100, batch_size: int | None = 4, **changes) -> Batcher:
    """It answers in capitals and records the texts of each call."""

    def score(texts):
        calls.append(list(texts))
        return [text.upper() for text in texts]

    return Batcher(changes.get("score", score), THREAD, most, batch_size)


@settings(max_examples=50, deadline=None)
@given(requests=st.lists(st.lists(st.text("abc", max_size=3), min_size=1, max_size=6), min_size=1, max_size=10))
def test_each_request_gets_its_own_results_from_few_calls(requests):
    async def ask():
        ask_for = batcher(calls)
        return await asyncio.gather(*map(ask_for, requests))

    calls = []
    assert asyncio.run(ask()) == [[text.upper() for text in texts] for texts in requests]
    assert [text for call in calls for text in call] == [text for texts in requests for text in texts]
    assert all(len(call) <= 4 or call in requests for call in calls), "only a request that is longer makes a long call"
    assert all(len(first) + len(second) > 4 for first, second in pairwise(calls))


def test_all_that_waits_goes_into_one_call_where_it_has_no_limit():
    async def ask():
        ask_for = batcher(calls, batch_size=None)
        await asyncio.gather(*(ask_for(["a", "b"]) for _ in range(20)))

    calls = []
    asyncio.run(ask())
    assert [len(call) for call in calls] == [40]


def test_what_does_not_fit_is_refused_until_there_is_room():
    async def ask():
        ask_for = batcher([], most=3)
        waits = asyncio.create_task(ask_for(["a", "b"]))
        await asyncio.sleep(0)
        with pytest.raises(asyncio.QueueFull):
            await ask_for(["c", "d"])
        also = asyncio.create_task(ask_for(["c"]))
        await asyncio.sleep(0)
        assert ask_for.is_full
        assert (await waits, await also) == (["A", "B"], ["C"])
        await asyncio.sleep(0)
        assert not ask_for.is_full
        return await ask_for(["c", "d"])

    assert asyncio.run(ask()) == ["C", "D"]


def test_a_failure_is_that_of_its_batch_alone():
    def score(texts):
        if "bad" in texts:
            raise ValueError("no")
        return texts

    async def ask():
        ask_for = batcher([], score=score)
        results = await asyncio.gather(ask_for(["bad"]), ask_for(["a"]), return_exceptions=True)
        assert [type(each) for each in results] == [ValueError, ValueError]
        return await ask_for(["a"])

    assert asyncio.run(ask()) == ["a"]


def test_texts_that_nobody_waits_for_any_more_are_not_scored():
    calls, busy, go_on = [], threading.Event(), threading.Event()

    def score(texts):
        calls.append(list(texts))
        busy.set()
        go_on.wait(10)
        return texts

    async def ask():
        ask_for = batcher([], most=5, score=score)
        first = asyncio.create_task(ask_for(["a"]))
        await asyncio.to_thread(busy.wait, 10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask_for(["b"] * 4), 0.01)
        go_on.set()
        await first
        return await ask_for(["c"] * 5)  # timed-out requests free their space

    assert asyncio.run(ask()) == ["c"] * 5
    assert calls == [["a"], ["c"] * 5]
