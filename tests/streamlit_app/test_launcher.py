"""``python -m streamlit_app``: the app as Streamlit serves it, and its metrics before anybody has opened a page."""

import http.client
import os
import socket
import urllib.request

import pytest
from ports import free_ports

from research.tools.browser import running_app
from streamlit_app.__main__ import main
from tf_model import paths

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_the_options_of_the_app_itself(option, capsys):
    main([option])
    said = capsys.readouterr().out
    assert all(name in said for name in ("--models", "--server URL", "TWEETS_METRICS", "--server.address"))
    assert "per product only from a served target" in said
    assert "corrected shares and report" in said
    assert "--server.allowedHosts NAME   host name of the app; replaces localhost; repeatable" in said
    assert len(said.splitlines()) < 25


def test_a_port_that_is_taken_stops_the_metrics_and_not_the_app(monkeypatch, capsys):
    started = []
    monkeypatch.setattr("streamlit.net_util.get_external_ip", None)  # main replaces it
    monkeypatch.setattr("streamlit.web.cli.main", lambda options, **_: started.extend(options))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("TWEETS_METRICS", f"127.0.0.1:{taken.getsockname()[1]}")
        main([])
    assert started[0] == "run"
    assert "no metrics are served" in capsys.readouterr().err


def test_metrics_come_before_any_page_pages_of_others_are_refused_and_nobody_on_the_internet_is_asked(tmp_path):
    [port] = free_ports()
    metrics = f"127.0.0.1:{port}"
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    with socket.socket() as internet:
        internet.bind(("127.0.0.1", 0))
        internet.listen()
        internet.setblocking(False)
        proxy = dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{internet.getsockname()[1]}")
        environment = os.environ | proxy | {"TWEETS_METRICS": metrics}
        with running_app(tmp_path, paths.SAMPLE_CORPUS, environment=environment) as address:
            served = urllib.request.urlopen(f"http://{metrics}/metrics", timeout=60)
            assert served.status == 200
            assert b"tweet_target" in served.read()
            assert urllib.request.urlopen(address, timeout=60).status == 200
            here = address.removeprefix("http://")

            def status(host, origin):
                connection = http.client.HTTPConnection(here, timeout=60)
                headers = {"Host": host, "Origin": origin, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
                connection.request("GET", "/_stcore/stream", headers=upgrade | headers)
                try:
                    return connection.getresponse().status
                finally:
                    connection.close()

            assert status(here, address) == 101
            assert status("rebound.example", "http://rebound.example") == 403
            assert status(here, "http://other.example") == 403
        with pytest.raises(BlockingIOError):
            internet.accept()
