"""A text whose words are highlighted: how much each spoke for the answer or against it, or which products it names.

The text goes to the browser as data and is set there as text: no markup in it is ever read.
"""

from collections.abc import Iterable, Sequence

from streamlit_app.charts import theme
from streamlit_app.components.widgets import component

MOST_WORDS = 200  # highlighted; a longer text is cut, and the page says so
Piece = tuple[str, str, str, str, str]  # text, CSS classes, colour, the sign beside it, and how that is read aloud
_LEAST_SHARE = 0.1  # of the greatest weight; a word below it gets no colour

# Signs, not only colours, tell for from against: "+" with a solid line, "−" with a dotted one.
_CSS = """
.text { font-family: var(--st-font); color: var(--st-text-color); line-height: 2.1; margin: 0;
        overflow-wrap: anywhere; white-space: pre-wrap; }
.word { border-radius: 0.25rem; padding: 0.1rem 0.15rem; }
.for, .against, .mention { font-weight: 600; border-bottom: 3px solid; }
.against { border-bottom-style: dotted; }
.sign { font-size: 0.75em; margin-inline-start: 0.1rem; vertical-align: super; font-weight: 700; }
.mention .sign { margin-inline-start: 0.35rem; vertical-align: baseline; font-weight: 400; }
"""

_JS = """
export default function ({ data, parentElement }) {
  const old = parentElement.querySelector('p');
  if (old) old.remove();
  const line = document.createElement('p');
  line.className = 'text';
  line.dir = 'auto';
  for (const [text, kind, colour, sign, spoken] of data.pieces) {
    const span = document.createElement('span');
    span.className = kind;
    span.textContent = text;
    if (sign) {
      span.style.backgroundColor = colour;
      span.style.borderBottomColor = colour.slice(0, 7);
      const mark = document.createElement('span');
      mark.className = 'sign';
      mark.textContent = sign;
      if (spoken) {
        mark.setAttribute('role', 'img');
        mark.setAttribute('aria-label', spoken);
      }
      span.append(mark);
    }
    line.append(span);
  }
  parentElement.append(line);
}
"""


def highlighted(words: Sequence[str], weights: Sequence[float]) -> list[Piece]:
    """At most :data:`MOST_WORDS` words, in colour those that counted; a positive weight speaks for the answer."""
    greatest = max((abs(weight) for weight in weights), default=0.0) or 1.0
    pieces = []
    for word, weight in zip(words[:MOST_WORDS], weights, strict=False):
        strength = weight / greatest
        kind, sign, colour = ("for", "+", theme.FOR) if strength > 0 else ("against", "−", theme.AGAINST)
        if abs(strength) < _LEAST_SHARE:
            kind = sign = ""
        opacity = round(255 * 0.35 * abs(strength))
        pieces += [(word, f"word {kind}", f"{colour}{opacity:02X}", sign, kind), (" ", "", "", "", "")]
    return pieces


def mentions(text: str, found: Iterable[tuple[int, int, str]]) -> list[Piece]:
    """``text`` in pieces, of which those from each ``start`` up to ``end`` are in the colour of their label.

    They come in order, none over another. The label stands beside each, so that nothing is told by colour alone.
    """
    pieces, done = [], 0
    for start, end, label in found:
        pieces.append((text[done:start], "", "", "", ""))
        pieces.append((text[start:end], "word mention", f"{theme.colour_of(label)}59", label, ""))
        done = end
    return [*pieces, (text[done:], "", "", "", "")]


def show(pieces: Sequence[Piece], key: str) -> None:
    """Show a text in pieces."""
    component("words", css=_CSS, js=_JS)(data={"pieces": pieces}, key=key)
