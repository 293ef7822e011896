"""Simulated visitors of the app: they send texts as a browser does, and time the answers.

They speak the app's own protocol over the websocket, so one machine can play many visitors without drawing pages.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

TEXT_LABEL = "Your text"


@dataclass(frozen=True)
class TimedAnswer:
    """How long one question took, in seconds from sending it."""

    answer: float  # until the sentence with the answer arrived
    page: float  # until the whole page arrived: charts, the words behind the answer, the form
    sentence: str


def crowd(
    address: str, people: int, questions: int, think: float, seed: int = 0, texts: Sequence[str] = ()
) -> list[TimedAnswer]:
    """Let ``people`` visitors, all connected before the first question, each ask ``questions`` of the ``texts``.

    Without texts they ask made-up ones, all different. Before each question they wait uniformly from 0 to twice
    ``think`` seconds; with 0, all begin at the same moment. RuntimeError if the page has no box for the text or no
    answer.
    """
    waits = np.random.default_rng(seed).uniform(0, 2 * think, (people, questions))
    stream, barrier = f"{address.replace('http', 'ws', 1)}/_stcore/stream", asyncio.Barrier(people)
    options = {"origin": address, "subprotocols": ["streamlit"], "max_size": 2**26}

    async def visit(number: int) -> list[TimedAnswer]:
        answers = []
        async with connect(stream, **options, open_timeout=60, ping_interval=None) as socket:
            visitor = _Visitor(socket)
            await visitor.run_page()
            if not visitor.text_id:
                raise RuntimeError(f"the page has no box {TEXT_LABEL!r}; is there a model?")
            await barrier.wait()
            for question in range(questions):
                await asyncio.sleep(waits[number, question])
                made_up = f"visitor {number} of {seed} loves the new iPad, question {question}"
                text = texts[number * questions + question] if texts else made_up
                answers.append(await visitor.run_page(text))
                if not answers[-1].sentence:
                    raise RuntimeError(f"the page has no answer to {text[:80]!r}")
            await barrier.wait()  # all stay until the last answer
        return answers

    async def visits() -> list[list[TimedAnswer]]:
        return await asyncio.gather(*map(visit, range(people)))

    return [each for answers in asyncio.run(visits()) for each in answers]


class _Visitor:
    """One visitor's page Ask."""

    def __init__(self, socket: Any):
        self._socket = socket
        self._page_hash = self.text_id = ""  # text_id: of the text box

    async def run_page(self, text: str | None = None) -> TimedAnswer:
        """Make the app run the page, with ``text`` in its box if given, and wait until the whole page has arrived."""
        request = BackMsg()
        request.rerun_script.query_string = ""
        request.rerun_script.page_script_hash = self._page_hash
        if text is not None:
            request.rerun_script.widget_states.widgets.add(id=self.text_id, string_value=text)
        began, seconds, sentence = time.perf_counter(), 0.0, ""
        await self._socket.send(request.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(await self._socket.recv())
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._page_hash = message.new_session.page_script_hash
            elif kind == "delta":
                element = message.delta.new_element
                if element.WhichOneof("type") == "text_area" and element.text_area.label == TEXT_LABEL:
                    self.text_id = element.text_area.id
                elif element.WhichOneof("type") == "heading" and element.heading.tag == "h2" and not sentence:
                    seconds, sentence = time.perf_counter() - began, element.heading.body
                elif element.WhichOneof("type") == "exception":
                    raise RuntimeError(f"the page shows an exception: {element.exception.message}")
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return TimedAnswer(seconds, time.perf_counter() - began, sentence)
