"""Download a file whose sha256 is known, within limits of time and size, and never leave half of it behind."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tf_model.errors import DataError
from tf_model.io.files import explain_write_errors


@dataclass(frozen=True)
class Limits:
    """How long and how much a download may take.

    Attributes:
        connect: Seconds to wait for a connection.
        silence: Seconds without a byte before an attempt is given up.
        window: Seconds over which the speed is measured.
        slowest: Bytes per second; less than this over a whole window ends the download.
        total: Seconds for one attempt, however fast it is.
        size: Bytes; a larger answer is refused.
        retries: Further attempts, one and then two seconds later and so on, after a broken connection, a server
            error or wrong bytes.
    """

    connect: float = 10
    silence: float = 20
    window: float = 15
    slowest: float = 1024
    total: float = 300
    size: int = 100_000_000
    retries: int = 2


def download(url: str, target: Path, sha256: str, limits: Limits | None = None) -> Path:
    """Download a file whose sha256 is known, with a progress bar on standard error.

    The file appears under its name only when it is complete and correct. A file that is there already and correct is
    left alone.

    Args:
        url: An http or https address.
        target: The file to make; its folder is created.
        sha256: What the file must be, in hexadecimal.
        limits: Time and size limits.

    Returns:
        ``target``.

    Raises:
        DataError: The file cannot be had, or another file of this name is in the way.
        OutputError: ``target`` cannot be written.
    """
    import pooch
    import requests
    from rich.console import Console

    target, limits = Path(target), limits or Limits()
    if target.exists():
        if target.is_file() and pooch.file_hash(str(target)) == sha256:
            return target
        raise DataError(
            f"{target} is not the file that {url} should give (sha256 {sha256}); move it away, or use --data"
        )
    fetcher = pooch.create(
        target.parent,
        base_url="",
        registry={target.name: sha256},
        urls={target.name: url},
        retry_if_failed=limits.retries,
    )

    pooch.get_logger().setLevel("WARNING")  # it would tell what the next line and the bar tell
    Console(stderr=True).print(f"downloading {url}", soft_wrap=True, markup=False, highlight=False)

    def transfer(address: str, part: str, _: object) -> None:
        Path(part).write_bytes(_transfer(address, target.name, limits))

    try:
        with explain_write_errors(target):
            try:
                fetcher.fetch(target.name, downloader=transfer)
            except (requests.RequestException, ValueError) as error:
                raise DataError(_why(error)) from error
            target.chmod(0o644)  # a temporary file is its owner's alone
    except DataError as error:
        raise DataError(
            f"cannot download {url}: {error}; try again later, put the file into {target.parent} yourself as "
            f"{target.name}, or add --data PATH"
        ) from error
    return target


class _Received:
    """What has arrived so far. It is both the file and the progress bar of a ``pooch.HTTPDownloader``."""

    def __init__(self, size: int) -> None:
        self.content = bytearray()
        self.total = 0  # bytes announced by the server, 0 if unknown; set by pooch
        self.abandoned = False
        self._size = size

    def write(self, chunk: bytes) -> None:
        if self.abandoned:
            raise DataError("the download was abandoned")
        if len(self.content) + len(chunk) > self._size:
            raise DataError(f"the answer is larger than {self._size:,} bytes")
        self.content += chunk

    def update(self, _: int) -> None:
        """Nothing to do: the bar shows the length of ``content``."""

    flush = reset = close = lambda self: None


def _transfer(url: str, name: str, limits: Limits) -> bytes:
    """One attempt.

    A timeout of the HTTP library starts anew with every byte, so the transfer runs in a thread of its own while this
    one watches the clock. An abandoned thread holds no file and ends at its next chunk.

    Raises:
        DataError: A failure that another attempt would not mend.
        requests.RequestException, ValueError: Any other failure.
    """
    import pooch
    import requests

    received, failures = _Received(limits.size), []

    def work() -> None:
        try:
            pooch.HTTPDownloader(progressbar=received, timeout=(limits.connect, limits.silence))(url, received, None)
        except Exception as error:  # handed to the thread that waits
            failures.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        _watch(worker, received, name, limits)
    finally:
        received.abandoned = True
    if failures:
        error = failures[0]
        status = error.response.status_code if isinstance(error, requests.HTTPError) else 0
        if 400 <= status < 500 and status not in (408, 429):
            raise DataError(_why(error)) from error
        raise error
    if received.content[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise DataError("a web page came instead of the file")
    return bytes(received.content)


def _watch(worker: threading.Thread, received: _Received, name: str, limits: Limits) -> None:
    """Show the progress until ``worker`` ends; raise :class:`DataError` if it is too slow."""
    from rich.console import Console
    from rich.progress import Progress

    began = window_began = time.monotonic()
    before = 0
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task(name, total=None)
        while worker.is_alive():
            worker.join(0.1)
            now, size = time.monotonic(), len(received.content)
            progress.update(bar, completed=size, total=received.total or None)
            if not worker.is_alive():
                return
            if now - began > limits.total:
                raise DataError(f"it took longer than {limits.total:g} s")
            if now - window_began > limits.window:
                if size - before < limits.slowest * limits.window:
                    raise DataError(f"the server sends less than {limits.slowest:g} bytes a second")
                window_began, before = now, size


def _why(error: Exception) -> str:
    """What went wrong with a download, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer from the server in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off before the end"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    if isinstance(error, requests.RequestException):
        return " ".join(str(error).split())
    return "what came is not the expected file, its sha256 differs"
