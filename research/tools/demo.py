"""``python -m research.tools.demo``: record a film of the app into docs/demo/, as MP4 and a small GIF."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page

from research.tools import browser
from tf_model import cli, paths, tasks
from tf_model.errors import TweetTargetError
from tf_model.io.files import whole_file

DEMO = paths.ROOT / "docs" / "demo"
SIZE = {"width": 1280, "height": 720}
READING = 3500  # milliseconds to look at what is shown
TYPING = 25  # milliseconds per letter
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
SCROLL = """top => document.querySelector('[data-testid="stMain"]').scrollTo({top, behavior: 'smooth'})"""
# The GIF has 4 frames a second, is 640 pixels wide, and runs at twice the speed of the film.
GIF = (
    "setpts=PTS/2,fps=4,scale=640:-1:flags=lanczos,"
    "split[a][b];[a]palettegen=max_colors=64:stats_mode=diff[p];[b][p]paletteuse=dither=none:diff_mode=rectangle"
)
FORMATS = {
    "mp4": ["-c:v", "libx264", "-crf", "26", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"],
    "gif": ["-filter_complex", GIF, "-f", "gif"],
}


def main(argv: list[str] | None = None) -> int:
    """Record the real app, with a target model, in headless Chromium, and write the film in both formats."""
    cli.parser("research.tools.demo", __doc__.splitlines()[0]).parse_args(argv)
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise TweetTargetError("expected ffmpeg on this machine, found none; on Debian: apt-get install ffmpeg")
    if not (paths.SAVED_MODELS / tasks.TARGET.name).is_dir():
        raise TweetTargetError("expected a target model to film; run `make targets` first")
    with tempfile.TemporaryDirectory() as name:
        with browser.watched_app(questions_each=20, rest=0.2) as (chromium, address):
            _warm_up(chromium, address)
            film, blank_seconds = _record(chromium, address, Path(name))
        for suffix, options in FORMATS.items():
            target = DEMO / f"demo.{suffix}"
            with whole_file(target, overwrite=True) as part:
                source = ["-ss", f"{blank_seconds:.2f}", "-i", str(film)]
                if subprocess.run([ffmpeg, "-y", "-loglevel", "error", *source, *options, str(part)]).returncode:
                    raise TweetTargetError(f"ffmpeg could not make {paths.shown(target)}; see its message above")
            print(f"{paths.shown(target)}  {target.stat().st_size / 2**20:.1f} MiB")
    return 0


def _warm_up(chromium: Browser, address: str) -> None:
    """Visit every page once, so that the film shows the app at work and not a model being loaded."""
    page = browser.open_window(chromium, address, viewport=SIZE)
    browser.ask(page, "warming up")
    for link in browser.page_links(page).values():
        page.goto(link)
        browser.wait_until_done(page)
    page.context.close()


def _record(chromium: Browser, address: str, folder: Path) -> tuple[Path, float]:
    """The film, and how many seconds pass before it shows anything."""
    began = time.monotonic()
    page = browser.open_window(chromium, address, viewport=SIZE, record_video_dir=folder, record_video_size=SIZE)
    blank_seconds = time.monotonic() - began
    for scene in (_ask, _batch, _explore, _evaluate, _monitor):
        scene(page)
    page.context.close()
    return Path(page.video.path()), blank_seconds


def _ask(page: Page) -> None:
    _caption(page, "Ask: which emotion does a text direct at which product?", 1500)
    box = page.get_by_label("Your text")
    box.click()
    box.press_sequentially(browser.QUESTION, delay=TYPING)
    page.get_by_role("button", name="Ask", exact=True).click()
    browser.wait_until_done(page)
    page.locator("p.text .mention").first.scroll_into_view_if_needed()
    _caption(page, "Each product in the colour of the emotion toward it, with the model's confidence")
    _show(page, "Which words counted")
    _caption(page, "Which words spoke for the answer, and which against it")
    _show(page, "Are the products and their emotions correct?")
    _caption(page, "What you confirm or correct is kept, to train with later", 1500)
    page.get_by_role("button", name="Store", exact=True).first.click()
    page.get_by_text("Thank you. Your feedback is stored.").wait_for()
    page.wait_for_timeout(READING)
    _show(page, "The whole text")
    _caption(page, "Below: the answer for the whole text, as without a target model")


def _batch(page: Page) -> None:
    _open(page, "Batch")
    _caption(page, "Batch: a whole file, with your columns kept", 1500)
    browser.upload(page)
    _caption(page, "Every row is answered; download it as CSV or XLSX")
    tab = page.get_by_role("tab", name="Over time")
    tab.click()
    browser.wait_until_done(page)
    tab.evaluate("tab => tab.scrollIntoView({behavior: 'smooth', block: 'start'})")
    _caption(page, "What changed, when, and in which words")


def _explore(page: Page) -> None:
    _open(page, "Explore")
    _caption(page, "Explore: what is in the tweets of a dataset")
    _scroll(page, 600)


def _evaluate(page: Page) -> None:
    _open(page, "Evaluate")
    _caption(page, "Evaluate: what it gets right and wrong, in plain words; every metric is below")
    page.get_by_text("Technical figures").click()
    _scroll(page, 900)
    _show(page, "The effect of a threshold")
    _caption(page, "What a threshold would do: fewer answers, more of them correct", 1000)
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
        page.wait_for_timeout(60)
    browser.wait_until_done(page)
    page.wait_for_timeout(READING)


def _monitor(page: Page) -> None:
    _open(page, "Monitor")
    browser.show_log(page)
    _caption(page, "Monitor: alarms in words, accuracy, latency, throughput, errors, drift")
    for top in (700, 1400):
        _scroll(page, top)


def _open(page: Page, name: str) -> None:
    page.locator('[data-testid="stSidebarNavLink"]', has_text=name).click()
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
    browser.wait_until_done(page)


def _caption(page: Page, caption: str, milliseconds: int = READING) -> None:
    page.evaluate(CAPTION, caption)
    page.wait_for_timeout(milliseconds)


def _show(page: Page, heading: str) -> None:
    element = page.get_by_role("heading", name=heading).first
    element.wait_for()  # it must exist to be shown
    element.evaluate("heading => heading.scrollIntoView({behavior: 'smooth', block: 'start'})")
    page.wait_for_timeout(700)


def _scroll(page: Page, top: int) -> None:
    page.evaluate(SCROLL, top)
    page.wait_for_timeout(700 + READING)


if __name__ == "__main__":
    cli.run(main)
