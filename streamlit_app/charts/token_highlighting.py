"""A text with highlighted words: how much each supports or opposes the answer, or which products the text names.

The browser receives the text as data and displays it as text, so markup in it is never interpreted.
"""

from collections.abc import Iterable, Sequence

from streamlit_app.charts import theme
from streamlit_app.components.widgets import component

Piece = tuple[str, str, str, str, str]  # text, CSS classes, colour, the sign beside it, its spoken form
_LEAST_SHARE = 0.1  # of the greatest weight; words below it get no colour

# Signs distinguish the two, not only colours: "+" and a solid line support, "−" and a dotted line oppose.
_CSS = """
.text { font-family: var(--st-font); color: var(--st-text-color); line-height: 2.1; margin: 0;
        overflow-wrap: anywhere; white-space: pre-wrap; }
.word { border-radius: 0.25rem; padding: 0.1rem 0.15rem; }
.for, .against, .mention { font-weight: 600; border-bottom: 3px solid; }
.against { border-bottom-style: dotted; }
.sign { font-size: 0.75em; margin-inline-start: 0.1rem; vertical-align: super; font-weight: 700; }
.mention .sign { margin-inline-start: 0.35rem; vertical-align: baseline; font-weight: 400; }
"""

_HTML = '<p class="text" dir="auto"></p>'
_JS = """
export default function ({ data, parentElement }) {
  const spans = data.pieces.map(([text, kind, colour, sign, spoken]) => {
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
    return span;
  });
  parentElement.querySelector('p').replaceChildren(...spans);
}
"""


def highlighted(words: Sequence[str], weights: Sequence[float]) -> list[Piece]:
    """Words coloured by weight; a positive weight supports the answer."""
    greatest = max((abs(weight) for weight in weights), default=0.0) or 1.0
    pieces = []
    for word, weight in zip(words, weights, strict=True):
        strength = weight / greatest
        kind, sign, colour = ("for", "+", theme.FOR) if strength > 0 else ("against", "−", theme.AGAINST)
        if abs(strength) < _LEAST_SHARE:
            kind = sign = ""
        opacity = round(255 * 0.35 * abs(strength))
        pieces += [(word, f"word {kind}", f"{colour}{opacity:02X}", sign, kind), (" ", "", "", "", "")]
    return pieces


def mentions(text: str, spans: Iterable[tuple[int, int, str]]) -> list[Piece]:
    """``text`` in pieces; each mention in ``spans``, (start, end, label), has the colour and the name of its label.

    Mentions must be in order and must not overlap.
    """
    pieces, last_end = [], 0
    for start, end, label in spans:
        pieces.append((text[last_end:start], "", "", "", ""))
        pieces.append((text[start:end], "word mention", f"{theme.colour_of(label)}59", label, ""))
        last_end = end
    return [*pieces, (text[last_end:], "", "", "", "")]


def show(pieces: Sequence[Piece], key: str) -> None:
    """Show the pieces of a text."""
    component("words", html=_HTML, css=_CSS, js=_JS)(data={"pieces": pieces}, key=key)
