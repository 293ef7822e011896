"""Widgets that several pages share."""

from collections.abc import Callable, Iterable
from functools import cache
from mimetypes import guess_type
from typing import Any

import streamlit as st


@cache
def component(name: str, **parts: Any) -> Any:
    """A component of our own, in HTML, CSS and JavaScript, registered with Streamlit once."""
    return st.components.v2.component(f"tweet_target_{name}", **parts)


def pick(label: str, options: Iterable[str], key: str, **settings: Any) -> str:
    """One of a few options, by default the first."""
    options = list(options)
    settings = {"default": options[0], "persist_state": "session"} | settings
    return st.segmented_control(label, options, required=True, key=key, **settings)


def offer_file(label: str, data: Callable[[], str | bytes], name: str, key: str, **settings: Any) -> None:
    """A download button; the file is made when it is clicked."""
    settings = {"icon": ":material/download:", "mime": guess_type(name)[0]} | settings
    st.download_button(label, data=data, file_name=name, on_click="ignore", key=key, **settings)
