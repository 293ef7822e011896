"""A session of the app without a browser: what a browser sends when a text is asked, and when the answer is back.

It speaks the app's own protocol over the websocket, so that the server does for it all that it does for a browser,
and this machine need not draw pages for many.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Self

TEXT_LABEL = "Your text"
LARGEST_MESSAGE = 2**26  # bytes


@dataclass(frozen=True)
class Asked:
    """How long one question took, in seconds from sending it.

    Attributes:
        answer: Until the sentence with the answer had come.
        page: Until the whole page had come: charts, the words behind the answer, the form.
        sentence: That sentence.
    """

    answer: float
    page: float
    sentence: str


class Session:
    """One visitor of the page Ask. Use it in an ``async with`` block.

    Args:
        address: Of the app, such as ``http://127.0.0.1:8501``.
    """

    def __init__(self, address: str) -> None:
        self._url = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
        self._address = address
        self._text_id = ""
        self._page_hash = ""

    async def __aenter__(self) -> Self:
        """Open the page, and wait until it is complete."""
        from websockets.asyncio.client import connect

        self._socket = await connect(
            self._url,
            origin=self._address,
            subprotocols=["streamlit"],
            max_size=LARGEST_MESSAGE,
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
        """Ask a text.

        Raises:
            RuntimeError: The page came without an answer.
        """
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


async def crowd(address: str, people: int, questions: int, think: float, seed: int = 0) -> list[Asked]:
    """Many visitors at once, each of whom reads for a while between two questions.

    Args:
        address: Of the app.
        people: Sessions, all open before the first question.
        questions: That each asks; no text is asked twice.
        think: Mean of the seconds between an answer and the next question (uniform from 0 to twice that); 0: everybody
            asks at the same moment, and again as soon as the page has come.
        seed: Of the waiting times.

    Returns:
        All questions.
    """
    import numpy as np

    waits = np.random.default_rng(seed).uniform(0, 2 * think, (people, questions))
    sessions = await asyncio.gather(*(Session(address).__aenter__() for _ in range(people)))

    async def visit(number: int, session: Session) -> list[Asked]:
        asked = []
        for question in range(questions):
            await asyncio.sleep(waits[number, question])
            asked.append(await session.ask(f"visitor {number} of {seed} loves the new iPad, question {question}"))
        return asked

    try:
        visits = await asyncio.gather(*(visit(number, session) for number, session in enumerate(sessions)))
    finally:
        await asyncio.gather(*(session.__aexit__() for session in sessions))
    return [each for visit in visits for each in visit]
