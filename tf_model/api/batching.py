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

    ``score`` takes N texts or other inputs and returns N results; it runs on ``executor``, which several batchers may
    share. A call takes at most ``batch_size`` texts (None: up to ``limit``), or one larger request. For one event loop.
    """

    def __init__(
        self,
        score: Callable[[Sequence[Any]], Sequence[Any]],
        executor: Executor,
        limit: int,
        batch_size: int | None = None,
    ) -> None:
        self._score, self._executor, self._limit, self._batch_size = score, executor, limit, batch_size or limit
        self._queue: deque[tuple[Sequence[Any], asyncio.Future]] = deque()
        self._text_count = 0  # waiting or being scored
        self._task: asyncio.Task | None = None

    @property
    def is_full(self) -> bool:
        """Whether not even one more text is accepted."""
        return self._text_count >= self._limit

    async def __call__(self, texts: Sequence[Any]) -> list[Any]:
        """The result for each text; :class:`asyncio.QueueFull` if more than ``limit`` texts would wait."""
        if self._text_count + len(texts) > self._limit:
            raise asyncio.QueueFull
        future = asyncio.get_running_loop().create_future()
        self._queue.append((texts, future))
        self._text_count += len(texts)
        if self._task is None:
            self._task = asyncio.create_task(self._score_all())
        return await future

    async def _score_all(self) -> None:
        while self._queue:
            if self._text_count < self._batch_size:
                await asyncio.sleep(GATHER_SECONDS)
            await self._score_batch(self._next_batch())
        self._task = None

    def _next_batch(self) -> list[tuple[Sequence[Any], asyncio.Future]]:
        """The oldest requests, at least one; a request is never split."""
        batch, size = [], 0
        while self._queue and (not batch or size + len(self._queue[0][0]) <= self._batch_size):
            batch.append(self._queue.popleft())
            size += len(batch[-1][0])
        return batch

    async def _score_batch(self, batch: list[tuple[Sequence[Any], asyncio.Future]]) -> None:
        pending = [(texts, future) for texts, future in batch if not future.done()]  # skip requests given up
        texts = [text for request_texts, _ in pending for text in request_texts]
        try:
            scores = texts and await asyncio.get_running_loop().run_in_executor(self._executor, self._score, texts)
            results = iter(scores)
        except Exception as error:
            for _, future in pending:
                if not future.done():
                    future.set_exception(error)
        else:
            for request_texts, future in pending:
                request_results = list(islice(results, len(request_texts)))
                if not future.done():
                    future.set_result(request_results)
        self._text_count -= sum(len(request_texts) for request_texts, _ in batch)
