"""A text with the words marked that spoke for an answer and against it.

The text goes to the browser as data and is set there as text: no markup in it is ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import streamlit as st

from streamlit_app.charts.theme import theme

MOST_WORDS = 200  # marked; a longer text is cut, and the page says so
_MARKED_FROM = 0.1  # of the greatest weight: below it a word said nothing worth a colour

# Signs, not only colours, tell for from against: "+" with a solid line, "−" with a dotted one.
_CSS = """
.text { font-family: var(--st-font); color: var(--st-text-color); line-height: 2.1; margin: 0;
        overflow-wrap: anywhere; }
.word { border-radius: 0.25rem; padding: 0.1rem 0.15rem; }
.for, .against { font-weight: 600; }
.for { border-bottom: 3px solid FOR; }
.against { border-bottom: 3px dotted AGAINST; }
.sign { font-size: 0.75em; margin-inline-start: 0.1rem; vertical-align: super; font-weight: 700; }
""".replace("FOR", theme.POSITIVE).replace("AGAINST", theme.NEGATIVE)

_JS = """
export default function ({ data, parentElement }) {
  const old = parentElement.querySelector('p');
  if (old) old.remove();
  const line = document.createElement('p');
  line.className = 'text';
  line.dir = 'auto';
  for (const [word, strength, colour] of data.words) {
    const span = document.createElement('span');
    span.className = 'word' + (strength > 0 ? ' for' : strength < 0 ? ' against' : '');
    span.textContent = word;
    if (strength) {
      span.style.backgroundColor = colour;
      const sign = document.createElement('span');
      sign.className = 'sign';
      sign.textContent = strength > 0 ? '+' : '−';
      sign.setAttribute('role', 'img');
      sign.setAttribute('aria-label', strength > 0 ? 'for' : 'against');
      span.append(sign);
    }
    line.append(span, ' ');
  }
  parentElement.append(line);
}
"""


@cache
def _component() -> Any:
    return st.components.v2.component("tweet_target_words", css=_CSS, js=_JS)


def marked_words(words: Sequence[str], weights: Sequence[float]) -> list[tuple[str, float, str]]:
    """Each word with its strength and its background colour.

    Args:
        words: N words.
        weights: N weights; positive speaks for the answer.

    Returns:
        At most :data:`MOST_WORDS` of (word, strength from -1 to 1, 0 where it said nothing worth a mark, a CSS colour).
    """
    greatest = max((abs(weight) for weight in weights), default=0.0) or 1.0
    marked = []
    for word, weight in zip(words[:MOST_WORDS], weights, strict=False):
        strength = weight / greatest
        strength = strength if abs(strength) >= _MARKED_FROM else 0.0
        red, green, blue = _rgb(theme.POSITIVE if strength > 0 else theme.NEGATIVE)
        marked.append((word, round(strength, 3), f"rgba({red},{green},{blue},{0.35 * abs(strength):.3f})"))
    return marked


def strongest(words: Sequence[str], weights: Sequence[float], most: int = 8) -> list[tuple[str, float]]:
    """The words with the greatest weights, for or against, the strongest support first; a repeated word adds up."""
    sums: dict[str, float] = {}
    for word, weight in zip(words, weights, strict=True):
        sums[word] = sums.get(word, 0.0) + weight
    chosen = sorted(sums.items(), key=lambda item: -abs(item[1]))[:most]
    return sorted(chosen, key=lambda item: -item[1])


def show_words(words: Sequence[str], weights: Sequence[float], key: str) -> None:
    """Show the text with its words marked."""
    _component()(data={"words": marked_words(words, weights)}, key=key)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
