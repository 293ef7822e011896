"""``python -m research.tools.demo``: a film of the app at work, into docs/demo/: WebM, MP4 and a small GIF."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from research.tools.browser import chromium, open_window, page_links, running_app, staged_models, wait_until_done
from research.tools.screenshots import ask, ask_for_a_while, look_at_the_whole_log, upload
from tf_model import cli, paths
from tf_model.errors import TweetTargetError
from tf_model.io.files import whole_file

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEMO = paths.ROOT / "docs" / "demo"
WIDTH, HEIGHT = 1280, 720
LONGEST = 120.0  # seconds
READING = 3500  # milliseconds to look at what is shown
TYPING = 25  # milliseconds a letter
QUESTION = "My iPhone battery is dead again by noon, this is so annoying #fail"
GIF_FRAMES, GIF_WIDTH, GIF_SPEED = 4, 640, 2  # frames a second, pixels, times as fast as the film

CAPTION = """text => {
  let line = document.getElementById('caption');
  if (!line) {
    line = document.createElement('div');
    line.id = 'caption';
    line.style.cssText = 'position:fixed;left:0;right:0;bottom:0;z-index:2147483647;padding:14px 24px;'
      + 'background:rgba(12,22,32,0.92);color:#fff;font:600 22px/1.35 sans-serif;text-align:center';
    document.body.append(line);
  }
  line.textContent = text;
}"""
SCROLL = """([part, top]) => document.querySelector(`[data-testid="${part}"]`).scrollTo({top, behavior: 'smooth'})"""


def main(argv: list[str] | None = None) -> int:
    """Record the real app in headless Chromium, and write the film in three formats."""
    parser = cli.parser("research.tools.demo", __doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder of models; saved_models/ if not given")
    parser.add_argument("--log", type=Path, help="log of predictions for the page Monitor; it is copied, not changed")
    parser.add_argument("--output-dir", type=Path, default=Path(paths.shown(DEMO)), help="where the films go")
    parser.add_argument("--data", type=Path, default=paths.SAMPLE_CORPUS, help="dataset whose texts are shown")
    arguments = parser.parse_args(argv)
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise TweetTargetError("expected ffmpeg on this machine, found none; on Debian: apt-get install ffmpeg")
    with tempfile.TemporaryDirectory() as name:
        with staged_models(arguments.models, arguments.log) as models, running_app(models, arguments.data) as address:
            if arguments.log is None:
                asyncio.run(ask_for_a_while(address, 20, 0.2))  # or the page Monitor has nothing to show
            with chromium() as browser:
                _warm_up(browser, address)
                film, skipped = _record(browser, address, Path(name))
        for suffix, options in _formats(skipped).items():
            target = arguments.output_dir / f"demo.{suffix}"
            with whole_file(target, overwrite=True) as part:
                # The format is named: the temporary name says nothing.
                command = [ffmpeg, "-y", "-loglevel", "error", "-i", str(film), *options, str(part)]
                if subprocess.run(command).returncode:
                    raise TweetTargetError(f"ffmpeg could not make {paths.shown(target)}; its own message stands above")
            print(f"{paths.shown(target)}  {target.stat().st_size / 2**20:.1f} MiB")
    seconds = _seconds(arguments.output_dir / "demo.mp4")
    print(f"{seconds:.0f} s")
    if seconds > LONGEST:
        raise TweetTargetError(f"expected at most {LONGEST:.0f} s, got {seconds:.0f} s; run it on a less busy machine")
    return 0


def _warm_up(browser: Browser, address: str) -> None:
    """Visit every page once, so that the film shows the app at work and not a model being loaded."""
    page = open_window(browser, address, viewport={"width": WIDTH, "height": HEIGHT})
    ask(page, "warming up")
    for link in page_links(page).values():
        page.goto(link)
        wait_until_done(page)
    page.context.close()


def _record(browser: Browser, address: str, folder: Path) -> tuple[Path, float]:
    """The film, and how many seconds of it pass before there is anything to see."""
    size = {"width": WIDTH, "height": HEIGHT}
    began = time.monotonic()
    page = open_window(browser, address, viewport=size, record_video_dir=folder, record_video_size=size)
    skipped = time.monotonic() - began
    for scene in (_ask, _explain, _correct, _batch, _explore, _evaluate, _monitor):
        scene(page)
    page.context.close()
    return Path(page.video.path()), skipped


def _ask(page: Page) -> None:
    _say(page, "Ask: which emotion does a text direct at which product?", 1500)
    box = page.get_by_label("Your text")
    box.click()
    box.press_sequentially(QUESTION, delay=TYPING)
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_until_done(page)
    _say(page, "The answer first, with how sure the model is")


def _explain(page: Page) -> None:
    _show(page, "Which words counted")
    _say(page, "Which words spoke for the answer, and which against it")


def _correct(page: Page) -> None:
    _show(page, "Is this correct?")
    _say(page, "A thumb or a correction is kept, to train with later", 1500)
    page.locator('[data-testid="stFeedback"] button').first.click()  # up, down
    page.get_by_text("Thank you. Your feedback is stored.").wait_for()
    page.wait_for_timeout(READING)


def _batch(page: Page) -> None:
    _open(page, "Batch")
    _say(page, "Batch: a whole file, with your columns kept", 1500)
    upload(page)
    _say(page, "Every row is answered; download it as CSV or XLSX")
    _scroll(page, 700)
    page.wait_for_timeout(READING)


def _explore(page: Page) -> None:
    _open(page, "Explore")
    _say(page, "Explore: what is in the tweets of a dataset")
    _scroll(page, 600)
    page.wait_for_timeout(READING)


def _evaluate(page: Page) -> None:
    _open(page, "Evaluate")
    _say(page, "Evaluate: every figure beside the report's, with its protocol")
    _scroll(page, 900)
    page.wait_for_timeout(READING)
    _show(page, "The effect of a threshold")
    _say(page, "What a threshold would do: fewer answers, more of them right", 1000)
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
        page.wait_for_timeout(60)
    wait_until_done(page)
    page.wait_for_timeout(READING)


def _monitor(page: Page) -> None:
    _open(page, "Monitor")
    look_at_the_whole_log(page)
    _say(page, "Monitor: alarms in words, accuracy, latency, throughput, errors, drift")
    for top in (700, 1400):
        _scroll(page, top)
        page.wait_for_timeout(READING)


def _open(page: Page, name: str) -> None:
    page.locator('[data-testid="stSidebarNavLink"]', has_text=name).click()
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
    wait_until_done(page)


def _say(page: Page, words: str, milliseconds: int = READING) -> None:
    page.evaluate(CAPTION, words)
    page.wait_for_timeout(milliseconds)


def _show(page: Page, heading: str) -> None:
    found = page.get_by_role("heading", name=heading).first
    found.wait_for()  # what is to be shown must be there
    found.evaluate("heading => heading.scrollIntoView({behavior: 'smooth', block: 'start'})")
    page.wait_for_timeout(700)


def _scroll(page: Page, top: int) -> None:
    page.evaluate(SCROLL, ["stMain", top])
    page.wait_for_timeout(700)


def _formats(skipped: float) -> dict[str, list[str]]:
    """ffmpeg's options for each format; the first seconds, in which nothing is to be seen, are left out."""
    start = ["-ss", f"{skipped:.2f}"]
    palette = (
        f"setpts=PTS/{GIF_SPEED},fps={GIF_FRAMES},scale={GIF_WIDTH}:-1:flags=lanczos,"
        "split[a][b];[a]palettegen=max_colors=64:stats_mode=diff[p];[b][p]paletteuse=dither=none:diff_mode=rectangle"
    )
    return {
        "webm": [*start, "-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "38", "-cpu-used", "5", "-an", "-f", "webm"],
        "mp4": [*start, "-c:v", "libx264", "-crf", "26", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"],
        "gif": [*start, "-filter_complex", palette, "-f", "gif"],
    }


def _seconds(film: Path) -> float:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(film)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    cli.run(main)
