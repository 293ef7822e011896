"""A chart whose bars open the tweets that they count: by a click, or from a list, which the keyboard reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from streamlit_app.charts import theme
from tf_model.errors import plural

if TYPE_CHECKING:
    import pandas as pd

MOST_TWEETS = 25  # shown at once
_ROW = 76  # pixels: three lines of text; from about 64 on, cells wrap


@st.fragment
def chart(
    figure: Any,
    bars: pd.DataFrame,
    tweets_of: Callable[[Any], pd.DataFrame],
    *,
    key: str,
    alt: str,
    caption: str | None = None,
) -> None:
    """Show a chart, and below it the tweets of the chosen bar.

    Args:
        figure: Its bars, over all traces in order, are the lines of ``bars``.
        bars: One line per bar; its column ``name`` tells each from all others.
        tweets_of: Gives the tweets of a line of ``bars``.
        key: Begins the keys of the widgets.
        alt: For screen readers.
        caption: For everybody.
    """
    names = bars["name"].tolist()

    def pick() -> None:
        position = clicked(figure, st.session_state[f"{key}_chart"])
        if position is not None:
            st.session_state[f"{key}_bar"] = names[position]

    theme.show(figure, alt=alt, caption=caption, key=f"{key}_chart", on_select=pick, selection_mode="points")
    name = st.selectbox(
        "Read the tweets of", names, index=None, key=f"{key}_bar", placeholder="Click a bar, or choose it here"
    )
    if name is not None:
        _show_tweets(tweets_of(bars.iloc[names.index(name)]), key, name)


def clicked(figure: Any, state: Mapping[str, Any]) -> int | None:
    """Position of the clicked bar, counted over all traces in order; None if nothing was chosen.

    Args:
        figure: The chart.
        state: What ``st.plotly_chart`` keeps of a selection.
    """
    points = state["selection"]["points"]
    if not points:
        return None
    before = sum(len(trace.y) for trace in figure.data[: points[0]["curve_number"]])
    return before + points[0]["point_index"]


def _show_tweets(rows: pd.DataFrame, key: str, name: str) -> None:
    """Some of the tweets, drawn at random; a dataframe shows them letter by letter, so no markup in them is read."""
    if rows.empty:
        st.caption("No tweet.")
        return
    seed = f"{key}_seed"
    is_drawn = len(rows) > MOST_TWEETS
    shown = rows.sample(MOST_TWEETS, random_state=st.session_state.get(seed, 0)) if is_drawn else rows
    st.dataframe(
        shown[["text", "product", "emotion"]],
        hide_index=True,
        row_height=_ROW,
        height=_ROW * min(len(shown), 5) + 40,
        column_config={
            "text": st.column_config.TextColumn("tweet", width=330),
            "product": st.column_config.TextColumn("labelled product", width=130),
            "emotion": st.column_config.TextColumn("labelled emotion", width=130),
        },
        alt=f"Tweets of the bar {name}",
        key=f"{key}_tweets",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if is_drawn:
            st.caption(f"{len(shown)} of {len(rows):,} tweets, drawn at random.")
            update = {seed: st.session_state.get(seed, 0) + 1}
            st.button("Draw others", key=f"{key}_again", on_click=st.session_state.update, args=(update,))
        else:
            st.caption(f"{len(rows):,} {plural(len(rows), 'tweet', 'tweets')}.")
