"""``python -m research.benchmarks.app``: time a first answer and 20 people at once, and watch the app's memory.

The first answer is timed in a real browser. The other people are sessions without a browser (``app_client``), for which
the server does the same work. Everything runs on one machine, clients included.
"""

import time
from collections.abc import Sequence
from typing import Any

from research.benchmarks import harness
from research.tools.app_client import TimedAnswer, crowd
from research.tools.browser import chromium, open_window, running_app, staged_models
from tf_model import cli, tasks

FIRST_ANSWERS = 10
PEOPLE, QUESTIONS = 20, 10  # sessions at once, and questions of each
THINK_SECONDS = 5.0  # mean time between an answer and the next question
WARM_UP_QUESTIONS = 200  # before memory is measured the first time
MEMORY_PEOPLE, MEMORY_QUESTIONS = 4, 2_000


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record the results."""
    cli.parser("research.benchmarks.app", __doc__.splitlines()[0]).parse_args(argv)
    # Without the target model, which would also answer each question: one answer for the whole text is measured.
    with staged_models(without=tasks.TARGET.name) as models, running_app(models) as address:
        crowd(address, 1, 3, 0, seed=1)  # loads the model
        results = {
            "people": PEOPLE,
            "think_seconds": THINK_SECONDS,
            "first_answer_seconds": {"browser": _first_answers(address)},
            "crowd": _summary(crowd(address, PEOPLE, QUESTIONS, THINK_SECONDS, seed=2)),
            "all_at_the_same_moment": _summary(crowd(address, PEOPLE, 2, 0, seed=3)),
            "memory": _memory(address),
        }
    for name, value in results.items():
        print(f"{name}: {value}")
    harness.record("app", argv, results)
    return 0


def _summary(answers: Sequence[TimedAnswer]) -> dict[str, Any]:
    return {
        "questions": len(answers),
        "answer_seconds": harness.percentiles([each.answer for each in answers], (50, 95)),
        "page_seconds": harness.percentiles([each.page for each in answers], (50, 95)),
    }


def _first_answers(address: str) -> dict[str, float]:
    """Seconds from the click until the answer is on the screen; each page is loaded in a fresh browser context."""
    seconds = []
    with chromium() as browser:
        for number in range(FIRST_ANSWERS):
            page = open_window(browser, address)
            page.get_by_label("Your text").fill(f"I love the new iPad, for the {number}th time")
            began = time.perf_counter()
            page.get_by_role("button", name="Ask", exact=True).click()
            page.get_by_role("heading", level=2).first.wait_for(timeout=60_000)
            seconds.append(time.perf_counter() - began)
            page.context.close()
    return {"questions": len(seconds), **harness.percentiles(seconds, (50,)), "greatest": max(seconds)}


def _memory(address: str) -> dict[str, float]:
    """The server's memory after a warm-up, its growth over more questions, and the CPU time of these."""
    import psutil

    port = int(address.rpartition(":")[2])
    [server] = [
        child
        for child in psutil.Process().children()
        if any((each.status, each.laddr.port) == (psutil.CONN_LISTEN, port) for each in child.net_connections("tcp"))
    ]
    crowd(address, MEMORY_PEOPLE, WARM_UP_QUESTIONS // MEMORY_PEOPLE, 0, seed=4)
    before, cpu_seconds = server.memory_info().rss, sum(server.cpu_times()[:2])
    crowd(address, MEMORY_PEOPLE, MEMORY_QUESTIONS // MEMORY_PEOPLE, 0, seed=5)
    after, cpu_seconds = server.memory_info().rss, sum(server.cpu_times()[:2]) - cpu_seconds
    return {
        "questions": MEMORY_QUESTIONS,
        "before_bytes": before,
        "grown_bytes": after - before,
        "cpu_seconds_per_question": cpu_seconds / MEMORY_QUESTIONS,
    }


if __name__ == "__main__":
    cli.run(main)
