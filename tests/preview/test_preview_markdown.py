"""Markdown as the Hub shows it, and nothing that acts."""

from __future__ import annotations

import re

import pytest

from hubdistill.preview.markdown import path_in_repository, render

FILES = {"figures/a.png": "/files/figures/a.png?v=1", "report.json": "/files/report.json?v=2"}


def shown(text: str) -> str:
    return render(text, FILES)


def test_headings_get_the_anchors_that_the_hub_gives_them() -> None:
    assert 'id="training-data--more"' in shown("## Training data & more")
    assert 'id="same-1"' in shown("# Same\n\n# Same")


def test_tables_keep_their_alignment_without_styles() -> None:
    html = shown("| a | b |\n|:-:|--:|\n| 1 | 2 |")
    assert '<td align="center">1</td>' in html
    assert '<td align="right">2</td>' in html
    assert "style" not in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("~~gone~~", "<s>gone</s>"),
        ("see https://example.com/x", 'href="https://example.com/x"'),
        ("- [x] done", 'type="checkbox"'),
        ("> [!WARNING]\n> hot", 'class="markdown-alert markdown-alert-warning"'),
        ("a[^1]\n\n[^1]: the note", 'href="#fn1"'),
        ("<details open><summary>x</summary>\n\n**y**\n\n</details>", "<strong>y</strong>"),
        ('<p align="center"><img src="figures/a.png" alt="a" width="40"></p>', 'width="40"'),
        ("H<sub>2</sub>O<br>x<sup>2</sup>", "H<sub>2</sub>O<br>x<sup>2</sup>"),
    ],
)
def test_what_github_knows_is_rendered(text: str, html: str) -> None:
    assert html in shown(text)


def test_code_is_coloured_by_classes() -> None:
    assert '<span class="k">def</span>' in shown("```python\ndef f(): ...\n```")


def test_code_of_an_unknown_language_stays_plain() -> None:
    assert "<pre><code>1 &lt; 2\n</code></pre>" in shown("```no-such-language\n1 < 2\n```")


def test_files_of_the_folder_are_asked_for_here() -> None:
    assert 'src="/files/figures/a.png?v=1"' in shown("![a](figures/a.png)")
    assert 'src="/files/figures/a.png?v=1"' in shown("![a](./figures/../figures/a.png)")
    assert 'href="/files/report.json?v=2"' in shown("[r](report.json#x)")


def test_images_of_other_sites_are_not_asked_for() -> None:
    for text in ("![x](https://a.example/p.png)", '<img src="//a.example/p.png">'):
        (source,) = re.findall('src="(.*?)"', shown(text))
        assert source.startswith("/remote-image?address=")


def test_an_address_from_the_root_is_the_hubs() -> None:
    assert 'href="https://huggingface.co/docs"' in shown("[docs](/docs)")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "</style></article></body><style>body{display:none}</style>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='&#1;javascript:alert(1)'>x</a>",
    "[x](vbscript:x) [y](data:text/html,<script>alert(1)</script>) [z](file:///etc/passwd)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "<object data=x></object><embed src=x><base href=//a.example><meta http-equiv=refresh content=0>",
    "<form action=//a.example><button formaction=javascript:alert(1)>x</button></form>",
    "<math><mi xlink:href='javascript:alert(1)'></math>",
    "<div style='background:url(//a.example)' class='bar' data-part='card' id=q>x</div>",
    "<picture><source srcset=//a.example/c.png><img src=figures/a.png srcset='//b.example 2x'></picture>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    '```x" onmouseover=alert(1)\ncode\n```',
    "[a](<//[>) ![a](<http://[>)",
    "<img name=body><img id=cookie>",
]


ACTIVE = [
    "base",
    "button",
    "embed",
    "form",
    "iframe",
    "math",
    "meta",
    "object",
    "script",
    "source",
    "style",
    "svg",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_acts(text: str) -> None:
    html = shown(text)
    tags = re.findall(r"<([a-z][\w-]*)((?:[^>\"]|\"[^\"]*\")*)>", html)
    names = {name for name, _ in tags}
    attributes = {
        name: value for _, inside in tags for name, value in re.findall(r'([\w:-]+)="([^"]*)"', inside)
    }
    assert names.isdisjoint(ACTIVE)
    assert not [name for name in attributes if name.startswith(("on", "data-", "xlink"))]
    assert not {"style", "srcset", "srcdoc", "formaction"} & attributes.keys()
    assert attributes.get("class", "") == ""
    assert re.match(r"(https?:|mailto:|#|/files/|//|$)", attributes.get("href", ""))
    assert re.match(r"(/files/|/remote-image\?|$)", attributes.get("src", ""))
    assert not ("name" in attributes and "img" in names)


def test_deep_nesting_and_a_huge_cell_are_rendered() -> None:
    assert shown(">" * 5000 + " deep")
    assert "x" * 100_000 in shown(f"| a |\n|---|\n| {'x' * 100_000} |")


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("a/b.png", "a/b.png"),
        ("./a%20b.png?x#y", "a b.png"),
        ("../x", "../x"),
        ("a/../../x", "../x"),
        ("#x", None),
        ("/x", None),
        ("https://a.example/x", None),
        ("//a.example/x", None),
        ("http://[", None),
    ],
)
def test_the_file_that_an_address_means(address: str, path: str | None) -> None:
    assert path_in_repository(address) == path


def test_what_leads_out_of_the_repository_leads_nowhere() -> None:
    assert "passwd" not in shown("[x](../../etc/passwd) ![y](figures/../../../etc/passwd)")
