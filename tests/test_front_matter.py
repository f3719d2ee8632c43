"""The front matter of a README is the same for every reader: licence, leak scan, card, preview and Hub."""

from __future__ import annotations

import pytest

from hubdistill.front_matter import split_front_matter


@pytest.mark.parametrize(
    ("readme", "parts"),
    [
        ("---\na: 1\n---\ntext\n---\n", ("a: 1", "text\n---\n")),
        ("---\r\na: 1\r\n---\r\ntext", ("a: 1", "text")),
        ("\ufeff---\na: 1\n---", ("a: 1", "")),
        ("\n \n---\na: 1\nb: 2\n---  \ntext", ("a: 1\nb: 2", "text")),
        ("---\n---\ntext", ("", "text")),
        ("---\n\n---\ntext", ("", "text")),
        ("text\n---\na: 1\n---\n", ("", "text\n---\na: 1\n---\n")),
        ("---\na: 1\n", ("", "---\na: 1\n")),
        ("---\na: 1\n--- b\n", ("", "---\na: 1\n--- b\n")),
        ("", ("", "")),
    ],
)
def test_front_matter_is_split_from_text_as_the_hub_does(readme: str, parts: tuple[str, str]) -> None:
    assert split_front_matter(readme) == parts
