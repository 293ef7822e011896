"""Widgets that several pages draw alike."""

from collections.abc import Callable, Iterable
from functools import cache
from mimetypes import guess_type
from typing import Any

import streamlit as st


@cache
def component(name: str, **parts: Any) -> Any:
    """A component of our own, of HTML, CSS and JavaScript, which Streamlit wants to be told of once."""
    return st.components.v2.component(f"tweet_target_{name}", **parts)


def pick(label: str, options: Iterable[str], key: str, **settings: Any) -> str:
    """One of a few options, the first unless another is picked."""
    options = list(options)
    settings = {"default": options[0], "persist_state": "session"} | settings
    return st.segmented_control(label, options, required=True, key=key, **settings)


def offer_file(label: str, data: Callable[[], str | bytes], name: str, key: str, **settings: Any) -> None:
    """A button for a file that is made when it is asked for."""
    settings = {"icon": ":material/download:", "mime": guess_type(name)[0]} | settings
    st.download_button(label, data=data, file_name=name, on_click="ignore", key=key, **settings)
