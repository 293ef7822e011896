"""A session of the app without a browser: what a browser sends when a text is asked, and when the answer is back.

It speaks the app's own protocol over the websocket, so one machine can play many visitors without drawing pages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

TEXT_LABEL = "Your text"


@dataclass(frozen=True)
class Asked:
    """How long one question took, in seconds from sending it."""

    answer: float  # until the sentence with the answer had come
    page: float  # until the whole page had come: charts, the words behind the answer, the form
    sentence: str


class Session:
    """One visitor of the page Ask of the app at ``address``, for an ``async with`` block."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._text_id = ""
        self._page_hash = ""

    async def __aenter__(self) -> Self:
        """Open the page, and wait until it is complete."""
        from websockets.asyncio.client import connect

        self._socket = await connect(
            f"{self._address.replace('http', 'ws', 1)}/_stcore/stream",
            origin=self._address,
            subprotocols=["streamlit"],
            max_size=2**26,
            open_timeout=60,
            ping_interval=None,
        )
        await self._send({})
        await self._receive()
        if not self._text_id:
            raise RuntimeError(f"the page has no box {TEXT_LABEL!r}; is there a model?")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the page."""
        await self._socket.close()

    async def ask(self, text: str) -> Asked:
        """Ask a text; raises RuntimeError if the page comes without an answer."""
        began = time.perf_counter()
        await self._send({self._text_id: text})
        answered, sentence = await self._receive()
        if not sentence:
            raise RuntimeError(f"the page came without an answer to {text[:80]!r}")
        return Asked(answered - began, time.perf_counter() - began, sentence)

    async def _send(self, texts: dict[str, str]) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        message.rerun_script.query_string = ""
        message.rerun_script.page_script_hash = self._page_hash
        for name, value in texts.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.string_value = name, value
        await self._socket.send(message.SerializeToString())

    async def _receive(self) -> tuple[float, str]:
        """Wait until the page is complete; when the sentence with the answer came, and the sentence, if one did."""
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        answered, sentence = 0.0, ""
        while True:
            message = ForwardMsg()
            message.ParseFromString(await self._socket.recv())
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._page_hash = message.new_session.page_script_hash
            elif kind == "delta":
                element = message.delta.new_element
                if element.WhichOneof("type") == "text_area" and element.text_area.label == TEXT_LABEL:
                    self._text_id = element.text_area.id
                elif element.WhichOneof("type") == "heading" and element.heading.tag == "h2" and not sentence:
                    answered, sentence = time.perf_counter(), element.heading.body
                elif element.WhichOneof("type") == "exception":
                    raise RuntimeError(f"the page shows an exception: {element.exception.message}")
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return answered, sentence


async def crowd(
    address: str, people: int, questions: int, think: float, seed: int = 0, texts: Sequence[str] = ()
) -> list[Asked]:
    """``people`` sessions, all open before the first question, each of which asks ``questions`` of the ``texts``.

    Without texts they ask made-up ones of which no two are alike. They wait between an answer and the next question,
    uniformly from 0 to twice ``think`` seconds; 0: everybody asks at the same moment.
    """
    import numpy as np

    waits = np.random.default_rng(seed).uniform(0, 2 * think, (people, questions))
    sessions = await asyncio.gather(*(Session(address).__aenter__() for _ in range(people)))

    async def visit(number: int, session: Session) -> list[Asked]:
        asked = []
        for question in range(questions):
            await asyncio.sleep(waits[number, question])
            made_up = f"visitor {number} of {seed} loves the new iPad, question {question}"
            asked.append(await session.ask(texts[number * questions + question] if texts else made_up))
        return asked

    try:
        visits = await asyncio.gather(*(visit(number, session) for number, session in enumerate(sessions)))
    finally:
        await asyncio.gather(*(session.__aexit__() for session in sessions))
    return [each for visit in visits for each in visit]
