"""A program that records from 8 threads until it is killed, and prints each call that has returned.

Run as ``python written_under_load.py DATABASE``. Each output line holds the thread, the number of the
call in that thread, and the time at which the call returned. Every call has two texts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas

from tf_model.inference.predictor import Measured
from tf_model.monitor.recorder import Recorder

THREADS = 8
TEXTS = 2
RATE = 2000  # texts a second


def main(path: str) -> None:
    """Record until the process is killed."""
    recorder = Recorder(path, model="product", version="1")
    pause = THREADS * TEXTS / RATE

    def work(thread: int) -> None:
        number, due = 0, time.monotonic()
        while True:
            # The product's name identifies the call, because the texts are not kept.
            frame = pandas.DataFrame({"product": [f"{thread} {number}"] * TEXTS, "product_confidence": [0.9] * TEXTS})
            recorder.record_measured(["a text"] * TEXTS, Measured(frame, {"model": 0.01}, None), "app")
            os.write(1, f"{thread} {number} {time.time()!r}\n".encode())  # one system call: a whole line or none
            number, due = number + 1, due + pause
            time.sleep(max(due - time.monotonic(), 0))

    for thread in range(THREADS):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
