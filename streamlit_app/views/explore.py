"""Explore: what is in the labelled tweets, with a drill-down from every bar to its tweets."""

import os

import pandas as pd
import streamlit as st

from streamlit_app.components import notices
from streamlit_app.components.explorer import Explorer
from tf_model import data, eda
from tf_model.data import Source
from tf_model.errors import TweetTargetError
from tf_model.paths import shown


def main() -> None:
    """The page."""
    st.title("Explore")
    st.markdown(
        "What is in the labelled tweets; Batch does the same for a file of yours. The filters apply to every chart. To "
        "read the tweets that a bar counts, click it, or choose it below the chart."
    )
    try:
        source = _source(os.environ.get(data.DATA_VARIABLE))
        dataset, no_emotion, tweets = _read(str(source.path), source.path.stat().st_mtime_ns)
    except (TweetTargetError, OSError) as error:
        option = "; this page takes no options: rename the column in a copy of the table" * ("-column" in str(error))
        notices.say_problem("The dataset cannot be read.", f"{error}{option}")
        return
    if dataset == data.SAMPLE:
        st.warning(
            "This is the small sample corpus, whose texts were made up: it says nothing about real tweets.",
            icon=":material/science:",
        )
    origin = f"{shown(source.path)} ({source.reason.split(';')[0]})"
    st.caption(notices.plain_markdown(f"{len(tweets):,} labelled tweets of {origin}."))
    table = tweets[["row", "text", "product", "emotion"]]
    columns = {
        "text": st.column_config.TextColumn("tweet", width=330),
        "product": st.column_config.TextColumn("labelled product", width=130),
        "emotion": st.column_config.TextColumn("labelled emotion", width=130),
    }
    Explorer("explore", tweets, table, table, columns, "tweets", no_emotion).show()


@st.cache_data(ttl=60, show_spinner="Finding the dataset")
def _source(path: str | None) -> Source:
    """The dataset in use; ``path`` is the path in the environment, a cache key so that a change acts at once."""
    return data.resolve()


@st.cache_data(max_entries=2, show_spinner="Reading the tweets")
def _read(path: str, changed: int) -> tuple[str, str | None, pd.DataFrame]:
    """The dataset's name, its label for no emotion, and its tweets, see :func:`tf_model.eda.describe`."""
    dataset = data.read(path)
    no_emotion = next((task.no_emotion for task in dataset.tasks if task.no_emotion), None)
    return dataset.name, no_emotion, eda.describe(dataset.labelled)


main()
