"""The preview in a real browser, headless; skipped where none is found.

HUBDISTILL_BROWSER names one that is not on the PATH.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub.model_folder import png
from preview.conftest import CARD, Folder

from hubdistill.preview import CardPreview

playwright = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("HUBDISTILL_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium found; HUBDISTILL_BROWSER names one")

LONG = CARD + "".join(f"\n## Part {n}\n\n{'Some words. ' * 80}\n" for n in range(12))


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as running:
        # Chromium's own sandbox needs rights that containers and root do not have.
        opened = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page of a preview, with all that it said and asked for."""

    def __init__(self, browser: playwright.Browser, preview: CardPreview, **options: object) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 800}, **options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(preview.address, wait_until="load")

    def colour(self, selector: str) -> str:
        return str(self.page.eval_on_selector(selector, "node => getComputedStyle(node).backgroundColor"))

    def scroll(self) -> float:
        return float(self.page.evaluate("scrollY"))


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: playwright.Browser, write: Folder) -> Iterator[Open]:
    """Open a card in the browser."""
    previews: list[CardPreview] = []
    visits: list[Visit] = []

    def visit(card: str = CARD, **options: object) -> Visit:
        previews.append(CardPreview(write(card)).start())
        visits.append(Visit(browser, previews[-1], **options))
        return visits[-1]

    yield visit
    for opened in visits:
        opened.page.close()
    for preview in previews:
        preview.stop()


def test_a_card_is_shown_without_complaints_and_from_here_only(visit: Open) -> None:
    shown = visit(f"{CARD}\n![far](https://a.example/x.png) ![near](figures/quality.png)\n")
    page = shown.page
    assert page.inner_text("article h1").startswith("Student")
    widths = page.eval_on_selector_all("article img", "images => images.map(image => image.naturalWidth)")
    assert widths == [1, 460, 1]
    details = page.locator("article details")
    assert not details.get_by_text("not measured").is_visible()
    details.locator("summary").click()
    assert details.get_by_text("not measured").is_visible()
    page.click("article a[href='#quality'] >> nth=0")
    assert page.evaluate("location.hash") == "#quality"
    assert shown.said == []
    assert all(url.startswith("http://127.0.0.1:") for url in shown.asked), shown.asked


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(visit: Open, width: int) -> None:
    table = f"| {'a | ' * 40}\n|{'---|' * 40}\n| {'0.1234 | ' * 40}"
    wide = f"{table}\n\n{'x' * 500} `{'y' * 500}`\n\n# {'z' * 300}\n"
    page = visit(f"{CARD}\n{wide}").page
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_dark_follows_the_system_and_the_switch(visit: Open) -> None:
    shown = visit(color_scheme="dark")
    dark = shown.colour("body")
    shown.page.click("[data-theme-switch]")
    light = shown.colour("body")
    assert (dark, light) == ("rgb(11, 15, 25)", "rgb(255, 255, 255)")
    shown.page.reload()
    assert shown.colour("body") == light
    shown.page.click("[data-theme-switch]")
    assert shown.colour("body") == dark


def test_a_change_appears_where_one_reads(visit: Open, write: Folder) -> None:
    shown = visit(LONG)
    page = shown.page
    page.click("article details summary")
    page.evaluate("document.getElementById('part-7').scrollIntoView()")
    place, heading = shown.scroll(), "document.getElementById('part-7').getBoundingClientRect().top"
    top = page.evaluate(heading)
    assert place > 1000
    page.evaluate("window.here = true")

    write(LONG.replace("Some words.", "Other words.", 1) + "\n## Added\n\nAt the end, TODO.\n")
    page.wait_for_selector("#added")
    assert "Other words." in page.inner_text("#part-0 + p")
    assert page.inner_text(".problems summary") == "1 problem"
    assert shown.scroll() == pytest.approx(place, abs=2)

    write(LONG.replace("## Quality", "Some lines more.\n\n" * 5 + "## Quality"))
    page.wait_for_selector("#added", state="detached")
    assert page.evaluate(heading) == pytest.approx(top, abs=2)
    assert page.evaluate("document.querySelector('article details').open")
    assert page.evaluate("window.here")
    assert shown.said == []


def test_a_figure_that_is_drawn_anew_is_shown(visit: Open, write: Folder) -> None:
    shown = visit()
    source = shown.page.get_attribute("article img", "src")
    figure = write() / "figures" / "quality.png"
    figure.write_bytes(png((b"tEXt", b"Comment\0another one")))
    shown.page.wait_for_selector(f"article img:not([src='{source}'])")
    shown.page.eval_on_selector("article img", "image => image.decode()")
    assert shown.said == []


HOSTILE = """
<script>document.title = "owned"</script>
<img src=x alt=x onerror="document.title = 'owned'">
<svg onload="document.title = 'owned'"><script>document.title = "owned"</script></svg>
<iframe srcdoc="<script>parent.document.title = 'owned'</script>"></iframe>
</article></main></body></html><style>body { display: none }</style>
<details open ontoggle="document.title = 'owned'"><summary>x</summary></details>
<meta http-equiv="refresh" content="0;url=http://a.example"><base href="http://a.example">
<link rel="stylesheet" href="http://a.example/a.css">
<div style="background: url(http://a.example/a.png)" data-part="card">x</div>
<form action="http://a.example"><input autofocus onfocus="document.title = 'owned'"></form>
<a id="click" href="javascript:document.title = 'owned'">click</a>
<img name="body" id="documentElement" src="figures/quality.png" alt="x">

![x](http://a.example/pixel.png) ![y](data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22/%3E)
"""


def test_a_hostile_card_does_nothing(visit: Open) -> None:
    shown = visit(f"{CARD}\n{HOSTILE}")
    shown.page.click("#click", force=True)
    shown.page.wait_for_timeout(200)
    assert shown.page.title() == "student (preview)"
    assert shown.page.is_visible("article")
    assert shown.page.url.startswith("http://127.0.0.1:")
    assert all(url.startswith("http://127.0.0.1:") for url in shown.asked), shown.asked
    # The image x is not there; nothing else has anything to say, and no policy had to step in.
    assert [text for text in shown.said if "404" not in text] == []


def test_an_ended_preview_is_seen(browser: playwright.Browser, folder: Path) -> None:
    preview = CardPreview(folder).start()
    shown = Visit(browser, preview)
    shown.page.wait_for_selector("[data-state=live]")
    preview.stop()
    shown.page.wait_for_selector("[data-state=ended]")
    shown.page.close()
