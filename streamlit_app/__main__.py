"""``python -m streamlit_app``: ``streamlit run streamlit_app/app.py``, with the metrics served from the start.

Streamlit runs the app's code only when somebody opens a page; until then, Prometheus would find no metrics. Options go
to Streamlit, those after ``--`` to the app: ``python -m streamlit_app --server.port 8502``.
"""

import os
import sys
from pathlib import Path

from streamlit_app import METRICS_VARIABLE

APP = Path(__file__).resolve().parent / "app.py"
HELP = f"""usage: python -m streamlit_app [STREAMLIT'S OPTIONS] [-- THE APP'S OPTIONS]

Open the app in the browser, on this machine only.

Streamlit's options, such as:
  --server.port PORT        the port to listen on (default: 8501)
  --server.address ADDRESS  0.0.0.0 serves other machines too; there is no sign-in
  --server.allowedHosts NAME   host name of the app; replaces localhost; repeatable; `*` for any
  `streamlit run --help` lists them all

the app's options, after --:
  --models DIR              where the saved models are (default: saved_models)
  --server URL              use the model of an API or TensorFlow Serving, such as http://127.0.0.1:8000; load none
                            (per product only from a served target)
  --model DIR               with --server: a copy of its model, for labels, "Not sure", language check,
                            corrected shares and report

environment:
  {METRICS_VARIABLE}=HOST:PORT   serve metrics for Prometheus, such as 127.0.0.1:9464
"""


def main(arguments: list[str]) -> None:
    """Serve the metrics if the environment asks for them, then the app until it is stopped."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return
    from streamlit import net_util
    from streamlit.web import cli

    net_util.get_external_ip = lambda: None  # else, to refuse an origin, streamlit asks an internet server for it
    if os.environ.get(METRICS_VARIABLE):
        from streamlit_app.components import recording

        recording.serve_metrics()
    cli.main(["run", str(APP), *arguments], prog_name="streamlit")


if __name__ == "__main__":
    main(sys.argv[1:])
