"""What the preview answers, and to whom."""

from __future__ import annotations

import http.client
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hub.model_folder import safetensors
from preview.conftest import CARD, Folder

from hubdistill.errors import CardError, HubDistillError
from hubdistill.preview import CardPreview, Problem
from hubdistill.preview.folder import read_folder
from hubdistill.preview.page import build_page


@pytest.fixture
def preview(folder: Path) -> Iterator[CardPreview]:
    (folder / "optimizer.pt").write_bytes(b"state")
    (folder / ".env").write_text("HF_TOKEN=x")
    (folder.parent / "secret.txt").write_text("secret")
    with CardPreview(folder) as running:
        yield running


def get(preview: CardPreview, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(preview.address + path, headers=headers)


def test_the_page_has_what_the_hub_shows_around_a_card(preview: CardPreview) -> None:
    page = get(preview, "/").text
    for text in (
        "Sentence Similarity",
        "sentence-transformers",
        "Safetensors",
        "English",
        "https://huggingface.co/example/teacher",
        "https://huggingface.co/datasets/example/texts",
        "License:",
        "Eval Results",
        "STS Benchmark",
        "Semantic Similarity",
        "Spearman (cosine)",
        '<td class="value" title="0.81234">0.812</td>',
        "4 params",
        "<dd>F32</dd>",
        '<a href="/files/1_Pooling/config.json">',
        "state of the training run",
        "No problems",
    ):
        assert text in page, text


def test_parameters_are_those_of_the_safetensors_header(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").write_bytes(safetensors())
    (folder / "1_Pooling" / "model.safetensors").write_bytes(safetensors())
    assert "8 params" in build_page(read_folder(folder)).html


def test_weights_that_cannot_be_read_are_left_out(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not weights")
    assert "params" not in build_page(read_folder(folder)).html


def test_metadata_of_any_shape_is_shown_as_text(write: Folder) -> None:
    metadata = """---
tags: [1, {a: b}, "<b>", "</style><script>"]
base_model: 3
license: "<i>"
model-index: [1, {results: 2}, {results: [x, {task: 1, dataset: {name: "<u>"}, metrics: [4, {value: [1]}]}]}]
---
# x
"""
    page = build_page(read_folder(write(metadata))).html
    for text in ("&lt;b&gt;", "&lt;i&gt;", "&lt;u&gt;", "&lt;/style&gt;&lt;script&gt;"):
        assert text in page
    assert page.count("<script") == 1


def test_files_are_served_inert(preview: CardPreview) -> None:
    image, facts = get(preview, "/files/figures/quality.png"), get(preview, "/files/report.json")
    weights = get(preview, "/files/model.safetensors")
    assert image.headers["content-type"] == "image/png"
    assert facts.headers["content-type"] == "text/plain; charset=utf-8"
    assert weights.headers["content-disposition"] == 'attachment; filename="model.safetensors"'
    for answer in (image, facts, weights):
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/files/optimizer.pt",
        "/files/.env",
        "/files/../secret.txt",
        "/files/%2e%2e/secret.txt",
        "/files/..%2fsecret.txt",
        "/files/figures/../../secret.txt",
        "/files//etc/passwd",
        "/files/REPORT.json",
        "/files/",
        "/assets/../page.html",
        "/assets/%2e%2e/page.html",
        "/assets/..%2fserver.py",
        "/page.html",
    ],
)
def test_nothing_else_is_served(preview: CardPreview, path: str) -> None:
    # http.client sends the path as it is.
    connection = http.client.HTTPConnection(preview.address.removeprefix("http://"), timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"secret" not in answer.read()
    connection.close()


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "LICENSE").symlink_to(folder.parent / "secret.txt")
    (folder / "modules.json").unlink()
    with CardPreview(folder) as preview:
        assert get(preview, "/files/LICENSE").status_code == 404


def test_the_page_allows_only_itself(preview: CardPreview) -> None:
    policy = get(preview, "/").headers["content-security-policy"]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed.pop("default-src") == "'none'"
    assert set(allowed.values()) == {"'self'", "'none'"}
    for path in ("/", "/assets/style.css", "/remote-image?address=x", "/nothing"):
        assert {"cross-origin-resource-policy", "referrer-policy"} <= get(preview, path).headers.keys()


def test_only_requests_to_this_machine_are_answered(preview: CardPreview) -> None:
    assert preview.address.startswith("http://127.0.0.1:")
    assert get(preview, "/", Host="evil.example").status_code == 421
    assert get(preview, "/changes", Host="evil.example").status_code == 421


def test_an_image_of_another_site_becomes_its_address(preview: CardPreview) -> None:
    answer = get(preview, "/remote-image?address=https://a.example/%3Cscript%3E%26")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "https://a.example/&lt;script&gt;&amp;" in answer.text
    assert len(get(preview, f"/remote-image?address={'x' * 5000}").text) < 1000


def test_a_change_is_told_to_pages_and_to_the_caller(folder: Path) -> None:
    told = threading.Event()
    with (
        CardPreview(folder, on_change=lambda problems: told.set()) as preview,
        httpx2.stream("GET", f"{preview.address}/changes", timeout=10) as events,
    ):
        lines = (line for line in events.iter_lines() if line.startswith("data: "))
        first = next(lines)
        (folder / "README.md").write_text(CARD + "\nTODO\n", encoding="utf-8")
        assert next(lines) != first
        assert told.wait(5)
        assert [problem.text[:6] for problem in preview.problems] == ["'TODO'"]
        assert "TODO" in get(preview, "/").text


def test_files_that_come_and_go_are_seen(folder: Path) -> None:
    changes: list[int] = []
    seen = threading.Event()

    def changed(problems: object) -> None:
        assert isinstance(problems, tuple)
        changes.append(len(problems))
        seen.set()

    with CardPreview(folder, on_change=changed):
        for count, change in enumerate(
            (lambda: (folder / "figures" / "quality.png").unlink(), (folder / "README.md").unlink)
        ):
            change()
            assert seen.wait(5)
            seen.clear()
            assert len(changes) == count + 1
    assert changes == [1, 1]


def test_a_card_that_cannot_be_rendered_is_told_and_the_preview_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(text: str, files: object) -> str:
        if "strange" in text:
            raise RecursionError("too deep")
        return text

    monkeypatch.setattr("hubdistill.preview.page.render", render)
    told: queue.Queue[tuple[Problem, ...]] = queue.Queue()
    with CardPreview(folder, on_change=told.put) as preview:
        (folder / "README.md").write_text(CARD + "\nstrange\n", encoding="utf-8")
        (problem,) = told.get(timeout=5)
        assert "cannot be rendered (RecursionError: too deep)" in problem.text
        assert "This card cannot be rendered." in get(preview, "/").text
        (folder / "README.md").write_text(CARD + "\nmended\n", encoding="utf-8")
        assert told.get(timeout=5) == ()


def test_a_caller_that_fails_does_not_end_the_preview(folder: Path) -> None:
    told: queue.Queue[None] = queue.Queue()

    def changed(problems: object) -> None:
        told.put(None)
        raise ValueError("of the caller")

    with CardPreview(folder, on_change=changed):
        for line in ("one", "two and more"):
            (folder / "README.md").write_text(f"{CARD}\n{line}\n", encoding="utf-8")
            told.get(timeout=5)


def test_a_page_that_is_open_does_not_hold_up_the_end(folder: Path) -> None:
    preview = CardPreview(folder).start()
    with httpx2.stream("GET", f"{preview.address}/changes") as events:
        next(events.iter_lines())
        preview.stop()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(preview.address)


def test_a_folder_without_a_card_says_what_writes_it(tmp_path: Path) -> None:
    assert "There is no README.md in this folder yet" in build_page(read_folder(tmp_path)).html


def test_the_card_itself_may_be_given(folder: Path) -> None:
    assert CardPreview(folder / "README.md").folder == folder
    with pytest.raises(CardError, match="there is no folder"):
        CardPreview(folder / "report.json")


def test_a_taken_port_is_named(preview: CardPreview, folder: Path) -> None:
    port = int(preview.address.rpartition(":")[2])
    with pytest.raises(HubDistillError, match=f"cannot listen on port {port}"):
        CardPreview(folder, port=port).start()


def test_importing_it_needs_no_torch() -> None:
    program = (
        "import sys, hubdistill.preview; print([n for n in ('torch', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_the_extra_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['nh3'] = None; import hubdistill.preview"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'hubdistill[preview]'" in done.stderr
