"""Where the YAML at the top of a README ends and its text begins, as the Hub sees it."""

from __future__ import annotations

import re

# REGEX_YAML_BLOCK of huggingface_hub.repocard, which is the Hub's own; also after a byte order mark, which
# counts as space there, and for nothing between the lines.
_BLOCK = re.compile(
    r"\A\ufeff?\s*---(?:\r\n|\r|\n)(?:([\S\s]*?)(?:\r\n|\r|\n))??---[ \t]*(?:\r\n|\n|\Z)",
)


def split_front_matter(readme: str) -> tuple[str, str]:
    """Split a README into the YAML at its top ('' where there is none) and the text after it."""
    found = _BLOCK.match(readme)
    return (found[1] or "", readme[found.end() :]) if found else ("", readme)
