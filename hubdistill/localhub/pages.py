"""Small HTML pages, so that the addresses a push prints show something in a browser."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote

from markdown_it import MarkdownIt
from starlette.responses import HTMLResponse, Response

from hubdistill.front_matter import split_front_matter
from hubdistill.localhub.call import Call
from hubdistill.localhub.discussions import find_discussion
from hubdistill.localhub.repository import MAIN, PULLS

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: 13px } img { max-width: 100% }
table { border-collapse: collapse } td, th { border: 1px solid #ddd; padding: .2rem .6rem }
h1 small { color: #777 }
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'",
    "X-Content-Type-Options": "nosniff",
}
# Raw HTML in a card stays text; of its tags only these, without attributes, come back to life.
_SAFE_TAG = re.compile(r"&lt;(/?(?:details|summary|br|sub|sup))\s*/?&gt;")


def _page(title: str, body: str, base: str = "/") -> Response:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><base href="{escape(base)}">'
    return HTMLResponse(
        f"<!doctype html><html><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>",
        headers=_HEADERS,
    )


def _markdown(text: str) -> str:
    rendered: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return _SAFE_TAG.sub(r"<\1>", rendered)


def index(call: Call) -> Response:
    """The repositories that everybody may see."""
    rows = "".join(
        f'<li><a href="{escape(repo.url_path)}">{escape(repo.url_path[1:])}</a></li>'
        for repo in call.storage.all()
        if not call.storage.settings(repo)["private"]
    )
    return _page(
        "hubdistill local Hub", f"<h1>Local Hub</h1><ul>{rows or '<li>no repositories yet</li>'}</ul>"
    )


def repository(call: Call) -> Response:
    """A repository: its card, its metadata and its files at main."""
    repo = call.repo
    with call.open() as opened:
        oid = opened.resolve(MAIN)
        readme = opened.text(oid, "README.md") or ""
        files = opened.files(oid)
        commit = opened.commit(oid)
    resolve = f"{repo.url_path}/resolve/main/"
    metadata, text = split_front_matter(readme)
    rows = "".join(
        f'<tr><td><a href="{escape(resolve + quote(file.path))}">{escape(file.path)}</a></td>'
        f"<td>{file.size:,}</td><td>{'LFS' if file.pointer else ''}</td></tr>"
        for file in files
    )
    body = (
        f"<h1>{escape(str(repo))} <small>{escape(repo.type)}</small></h1>"
        f'<p><a href="{escape(repo.url_path)}/commit/{oid}">{oid[:7]}</a> {escape(commit.title)}</p>'
        f"<details><summary>Metadata</summary><pre>{escape(metadata)}</pre></details>"
        f"{_markdown(text)}<h2>Files</h2><table><tr><th>path</th><th>bytes</th><th></th></tr>{rows}</table>"
    )
    return _page(str(repo), body, base=resolve)


def commit(call: Call) -> Response:
    """A commit and what it changed."""
    with call.open() as opened:
        oid = opened.resolve(call.param("revision"))
        record = opened.commit(oid)
        diff = opened.diff(record.parents[0], oid) if record.parents else ""
    link = f'<a href="{escape(call.repo.url_path)}">{escape(str(call.repo))}</a>'
    body = f"<p>{link}</p><h1>{escape(record.title)}</h1><p>{oid} by {escape(record.author)}</p>"
    return _page(record.title, f"{body}<pre>{escape(record.description)}</pre><pre>{escape(diff)}</pre>")


def discussion(call: Call) -> Response:
    """A discussion or pull request with its events."""
    with call.open() as opened:
        found = find_discussion(call.storage.settings(call.repo), call.param("number"))
        diff = (
            opened.diff(found["base"], opened.resolve(f"{PULLS}{found['num']}"))
            if found["is_pull_request"]
            else ""
        )
    lines = []
    for event in found["events"]:
        data = event["data"]
        text = (
            data.get("latest", {}).get("raw")
            or data.get("subject")
            or data.get("status")
            or data.get("to", "")
        )
        lines.append(f"{event['createdAt']}  {event['author']['name']}  {event['type']}: {text}")
    link = f'<a href="{escape(call.repo.url_path)}">{escape(str(call.repo))}</a>'
    title = f"{found['title']} #{found['num']} ({found['status']})"
    events = escape("\n".join(lines))
    return _page(title, f"<p>{link}</p><h1>{escape(title)}</h1><pre>{events}</pre><pre>{escape(diff)}</pre>")
