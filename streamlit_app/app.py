"""The frame of the app: the five pages, and beside them the model in use.

Run ``streamlit run streamlit_app/app.py``, or with ``-- --models DIR`` for the models in another folder,
or with ``-- --server URL`` for the model of a TensorFlow Serving.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # streamlit puts the folder of this file there, not the project's

from streamlit_app.components import sidebar  # noqa: E402

HERE = Path(__file__).resolve().parent
VIEWS = HERE / "views"
ICON = HERE / "icon.svg"  # a file of ours: an emoji or a symbol would be fetched from the internet
# File in views/, title, icon.
PAGES = (
    ("ask", "Ask", ":material/forum:"),
    ("batch", "Batch", ":material/table_view:"),
    ("explore", "Explore", ":material/insights:"),
    ("evaluate", "Evaluate", ":material/fact_check:"),
    ("monitor", "Monitor", ":material/monitor_heart:"),
)


def main() -> None:
    """Draw the frame, then the chosen page."""
    st.set_page_config(page_title="Tweet Target", page_icon=str(ICON), layout="wide")
    page = st.navigation(
        [
            st.Page(VIEWS / f"{name}.py", title=title, icon=icon, url_path=name, default=name == PAGES[0][0])
            for name, title, icon in PAGES
            if (VIEWS / f"{name}.py").is_file()
        ]
    )
    try:
        page.run()
    finally:
        sidebar.show()  # last: it loads the model, and a page that needs none is not to wait for that


main()
