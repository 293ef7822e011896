"""The frame of the app: its pages, and in the sidebar the model in use.

Run ``streamlit run streamlit_app/app.py``; the app's own options follow ``--``: ``--models DIR``, ``--server URL``.
"""

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))  # streamlit adds only the folder of this file

from streamlit_app.components import loading, notices, runs  # noqa: E402
from streamlit_app.components.notices import plain_markdown  # noqa: E402


def main() -> None:
    """Draw the chosen page, then the sidebar."""
    # A local file, set before the pages: as the tab's icon, streamlit would fetch theirs from the internet.
    st.set_page_config(page_icon=str(HERE / "icon.svg"), layout="wide")
    views = HERE / "views"
    page = st.navigation(
        [
            st.Page(views / "ask.py", title="Ask", icon=":material/forum:", url_path="home", default=True),
            st.Page(views / "batch.py", title="Batch", icon=":material/table_view:"),
            st.Page(views / "explore.py", title="Explore", icon=":material/insights:"),
            st.Page(views / "evaluate.py", title="Evaluate", icon=":material/fact_check:"),
            st.Page(views / "monitor.py", title="Monitor", icon=":material/monitor_heart:"),
            # Streamlit serves the first page only at /, so /ask redirects there.
            st.Page(_open_first, title="Ask", url_path="ask", visibility="hidden"),
        ]
    )
    st.set_page_config(page_title=f"{page.title} · Tweet Target")
    runs.clear_up()
    live_region = st.container()
    try:
        with notices.explained("This page cannot be shown."):  # such as a full disk, where a page stores its filters
            page.run()
    finally:
        with live_region:
            notices.show_announced()
        runs.remember_owner()  # on every page: a tab that opens before the cookie is set gets another id
        with st.sidebar:  # last: it loads the model, and some pages need none
            _show_model()


def _open_first() -> None:
    st.switch_page("views/ask.py", query_params=st.query_params.to_dict())


def _show_model() -> None:
    st.subheader("Model", anchor=False)
    names = loading.model_names()
    if len(names) > 1:
        st.session_state[loading.CHOICE] = loading.chosen_name(names)  # the list may have changed
        st.selectbox("Model in use", names, key=loading.CHOICE)
    state = loading.current_model()
    if state.predictor is not None:
        st.badge(":material/check_circle: Ready", color="green")
        if state.predictor.is_sample:
            st.badge("Trained on the sample corpus", icon=":material/science:", color="orange")
        outputs = "the emotion toward each product" if state.is_of_targets else " and ".join(state.predictor.labels)
        st.caption(f"**{plain_markdown(state.name)}** predicts {outputs}.")
        served = f", served at `{state.server_url}`" if state.server_url else ""
        st.caption(plain_markdown(state.version_label) + served)
    elif state.problem:
        st.badge(":material/error: Cannot be used", color="red")
    else:
        st.badge(":material/help: No model yet", color="orange")


main()
