"""``python -m streamlit_app``: ``streamlit run streamlit_app/app.py``, with the metrics served from the start.

Streamlit runs the app's own code only when somebody opens a page; Prometheus would find nobody until then. Everything
after the command is Streamlit's, and after ``--`` the app's: ``python -m streamlit_app --server.port 8502``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from streamlit_app import METRICS_VARIABLE

APP = Path(__file__).resolve().parent / "app.py"


def main(arguments: list[str]) -> None:
    """Serve the metrics if they are asked for, then the app, until it is stopped."""
    from streamlit.web import cli

    if os.environ.get(METRICS_VARIABLE):
        from streamlit_app import recording

        recording.serve_metrics()
    cli.main(["run", str(APP), *arguments], prog_name="streamlit")


if __name__ == "__main__":
    main(sys.argv[1:])
