"""Score the texts of requests that arrive at about the same time together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import islice
from typing import Any

GATHER_SECONDS = 0.002  # for which a text waits for others


class Batcher:
    """Scores the texts of many requests in few calls, one call after another.

    ``score`` takes N texts or other inputs and returns N results; it runs on ``thread``, which several batchers may
    share. A call takes at most ``batch_size`` texts (None: up to ``most``), or one larger request. For one event loop.
    """

    def __init__(
        self,
        score: Callable[[Sequence[Any]], Sequence[Any]],
        thread: Executor,
        most: int,
        batch_size: int | None = None,
    ) -> None:
        self._score, self._thread, self._most, self._batch_size = score, thread, most, batch_size or most
        self._waiting: deque[tuple[Sequence[Any], asyncio.Future]] = deque()
        self._texts = 0  # waiting or being scored
        self._work: asyncio.Task | None = None

    @property
    def is_full(self) -> bool:
        """Whether not even one more text is accepted."""
        return self._texts >= self._most

    async def __call__(self, texts: Sequence[Any]) -> list[Any]:
        """The result for each text; :class:`asyncio.QueueFull` if more than ``most`` texts would wait."""
        if self._texts + len(texts) > self._most:
            raise asyncio.QueueFull
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((texts, future))
        self._texts += len(texts)
        if self._work is None:
            self._work = asyncio.create_task(self._score_all())
        return await future

    async def _score_all(self) -> None:
        while self._waiting:
            if self._texts < self._batch_size:
                await asyncio.sleep(GATHER_SECONDS)
            await self._score_batch(self._next_batch())
        self._work = None

    def _next_batch(self) -> list[tuple[Sequence[Any], asyncio.Future]]:
        """The oldest requests, at least one; a request is never split."""
        batch, size = [], 0
        while self._waiting and (not batch or size + len(self._waiting[0][0]) <= self._batch_size):
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0])
        return batch

    async def _score_batch(self, batch: list[tuple[Sequence[Any], asyncio.Future]]) -> None:
        wanted = [(texts, future) for texts, future in batch if not future.done()]  # skip requests given up
        texts = [text for each, _ in wanted for text in each]
        try:
            scored = texts and await asyncio.get_running_loop().run_in_executor(self._thread, self._score, texts)
            results = iter(scored)
        except Exception as error:
            for _, future in wanted:
                if not future.done():
                    future.set_exception(error)
        else:
            for each, future in wanted:
                found = list(islice(results, len(each)))
                if not future.done():
                    future.set_result(found)
        self._texts -= sum(len(each) for each, _ in batch)
