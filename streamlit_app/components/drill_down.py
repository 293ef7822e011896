"""A chart whose bars open the tweets that they count: by a click, or from a list, which the keyboard reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from streamlit_app.charts.theme import theme
from tf_model.errors import plural

if TYPE_CHECKING:
    import pandas as pd

MOST_TWEETS = 25  # shown behind a bar at once
_ROW = 76  # pixels: three lines of text; from about 64 on, cells wrap


@st.fragment
def chart(
    figure: Any,
    bars: pd.DataFrame,
    names: Sequence[str],
    behind: Callable[[Any], pd.DataFrame],
    *,
    key: str,
    alt: str,
    caption: str | None = None,
    narrow: bool = False,
) -> None:
    """A chart whose bars open the tweets that they count.

    Args:
        figure: Its bars, over all traces in order, are the lines of ``bars``.
        bars: One line per bar.
        names: What to call each bar, all different.
        behind: Gives the tweets of a line of ``bars``.
        key: Begins the keys of the widgets.
        alt: For screen readers.
        caption: For everybody.
        narrow: Whether it stands in a column of half a page.
    """
    names = list(names)

    def pick() -> None:
        position = clicked(figure, st.session_state[f"{key}_chart"])
        if position is not None:
            st.session_state[f"{key}_bar"] = names[position]

    theme.show(figure, alt=alt, caption=caption, key=f"{key}_chart", on_select=pick, selection_mode="points")
    bar = st.selectbox(
        "Tweets behind a bar", names, index=None, key=f"{key}_bar", placeholder="Click a bar, or choose it here"
    )
    if bar is not None:
        _show_tweets(behind(bars.iloc[names.index(bar)]), key, bar, narrow)


def clicked(figure: Any, state: Mapping[str, Any]) -> int | None:
    """Position of the bar that was clicked, counted over all traces in order; None if the click chose nothing.

    Args:
        figure: The chart.
        state: What ``st.plotly_chart`` keeps of a selection.
    """
    points = state["selection"]["points"]
    if not points:
        return None
    before = sum(len(trace.y) for trace in figure.data[: points[0]["curve_number"]])
    return before + points[0]["point_index"]


def _show_tweets(rows: pd.DataFrame, key: str, bar: str, narrow: bool) -> None:
    """Some of the tweets, drawn at random; cells are drawn letter by letter, so no markup in them is read."""
    if rows.empty:
        st.caption("No tweet stands behind this bar.")
        return
    draws = f"{key}_draws"
    is_drawn = len(rows) > MOST_TWEETS
    drawn = rows.sample(MOST_TWEETS, random_state=st.session_state.get(draws, 0)) if is_drawn else rows
    st.dataframe(
        drawn[["text", "product", "emotion"]],
        hide_index=True,
        row_height=_ROW,
        height=_ROW * min(len(drawn), 5) + 40,
        column_config={
            "text": st.column_config.TextColumn("tweet", width=330 if narrow else 720),
            "product": st.column_config.TextColumn("labelled product", width=130),
            "emotion": st.column_config.TextColumn("labelled emotion", width=130),
        },
        alt=f"Tweets behind the bar {bar}",
        key=f"{key}_tweets",
    )
    number = f"{len(drawn)} of {len(rows):,}" if is_drawn else f"{len(rows):,}"
    words = plural(len(rows), "tweet", "tweets")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{number} {words}{', drawn at random' if is_drawn else ''}.")
        if is_drawn:
            again = st.session_state.get(draws, 0) + 1
            st.button("Draw others", key=f"{key}_again", on_click=st.session_state.update, args=({draws: again},))
