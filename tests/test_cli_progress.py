"""What a person sees of a training."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tf_model.cli import duration, show_epochs


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (48.4, "48 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (720, "12 min"),
        (3569, "59 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_seconds_as_people_say_them(seconds, words):
    assert duration(seconds) == words


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr("tf_model.cli.time.perf_counter", lambda: now[0])
    return now


def test_without_a_screen_each_epoch_is_one_line_with_the_time_left(clock):
    page = io.StringIO()
    show = show_epochs(Console(file=page, force_terminal=False, width=20), epochs=5, steps=2)
    show.on_train_begin()
    for epoch in (2, 3, 4):  # resumed after two epochs
        show.on_epoch_begin(epoch)
        show.on_train_batch_end(0)
        show.on_train_batch_end(1)
        clock[0] += 60
        show.on_epoch_end(epoch, {"loss": 0.5})
    show.on_train_end()
    assert page.getvalue().splitlines() == [
        "epoch 3/5  loss 0.5000  2 min left",
        "epoch 4/5  loss 0.5000  60 s left",
        "epoch 5/5  loss 0.5000  0 s left",
    ]


def test_on_a_screen_the_bar_is_gone_when_the_training_is_stopped(clock):
    page = io.StringIO()
    show = show_epochs(Console(file=page, force_terminal=True, width=80), epochs=2, steps=3)
    show.on_train_begin()
    show.on_epoch_begin(0)
    show.on_train_batch_end(0)
    show.stop()
    shown = page.getvalue()
    assert "epoch 1/2" in shown
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))  # the line is wiped, the cursor is back
