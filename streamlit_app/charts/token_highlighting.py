"""A text whose words are highlighted: how much each spoke for the answer or against it.

The text goes to the browser as data and is set there as text: no markup in it is ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import streamlit as st

from streamlit_app.charts import theme

MOST_WORDS = 200  # highlighted; a longer text is cut, and the page says so
_LEAST_SHARE = 0.1  # of the greatest weight; a word below it gets no colour

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


def highlighted(words: Sequence[str], weights: Sequence[float]) -> list[tuple[str, float, str]]:
    """At most :data:`MOST_WORDS` words, each with its strength (-1 to 1, 0: no colour) and its CSS background colour.

    A positive weight speaks for the answer.
    """
    greatest = max((abs(weight) for weight in weights), default=0.0) or 1.0
    result = []
    for word, weight in zip(words[:MOST_WORDS], weights, strict=False):
        strength = weight / greatest if abs(weight) >= _LEAST_SHARE * greatest else 0.0
        colour = theme.POSITIVE if strength > 0 else theme.NEGATIVE
        opacity = round(255 * 0.35 * abs(strength))
        result.append((word, round(strength, 3), f"{colour}{opacity:02X}"))
    return result


def show(words: Sequence[str], weights: Sequence[float], key: str) -> None:
    """Show the words of a text, highlighted."""
    _component()(data={"words": highlighted(words, weights)}, key=key)
