"""The forms of tokens and of private paths, as a table of rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

NEW_TOKEN = "revoke the token (it may be known by now) and remove it"
NO_PATH = "replace it by a Hub id, a file name or a relative path"

_BEFORE = 256
_AFTER = 2048
"""Characters looked at before and after an anchor."""


class Hit(NamedTuple):
    """Something found in a text: its kind, where it starts, and the text itself (never to be shown)."""

    kind: str
    start: int
    text: str
    mend: str


@dataclass(frozen=True)
class Rule:
    """One form to look for.

    Args:
        kind: what it is, as a reader is told.
        pattern: its form.
        mend: what to do about it.
        anchors: every match holds one of these strings. Finding them first is what makes the scan fast.
        starts: matches start with their anchor.
    """

    kind: str
    pattern: re.Pattern[str]
    mend: str
    anchors: Sequence[str]
    starts: bool = False

    def find(self, text: str) -> Iterator[Hit]:
        """Find all matches, in no order; one may come twice."""
        for anchor in self.anchors:
            at = text.find(anchor)
            while at >= 0:
                if self.starts:
                    match = self.pattern.match(text, at)
                    if match:
                        yield Hit(self.kind, at, match[0], self.mend)
                    at = text.find(anchor, match.end() if match else at + 1)
                else:
                    end = at + _AFTER
                    for match in self.pattern.finditer(text, max(0, at - _BEFORE), end):
                        yield Hit(self.kind, match.start(), match[0], self.mend)
                    at = text.find(anchor, end - _BEFORE)


def _token(kind: str, *forms: tuple[str, str], glued: bool = False) -> Rule:
    """A token by its forms: (prefix, what follows as a pattern).

    Glued: so telling that letters may stand before it, as in a percent-encoded URL.
    """
    either = "|".join(f"{re.escape(prefix)}(?:{rest})" for prefix, rest in forms)
    before = "" if glued else "(?<![A-Za-z0-9])"
    return Rule(kind, re.compile(f"{before}(?:{either})"), NEW_TOKEN, [p for p, _ in forms], starts=True)


_WORD = r"[A-Za-z0-9_-]"
_ALNUM = "[A-Za-z0-9]"
_HEX32 = r"[0-9a-f]{32}(?![A-Za-z0-9])"
_MIXED = rf"(?={_WORD}*[A-Z])(?={_WORD}*[0-9])"

EXACT: tuple[Rule, ...] = (
    _token(
        "Hugging Face token",
        ("hf_", rf"(?:oauth_|jwt_)[A-Za-z0-9._-]{{20,}}|{_ALNUM}{{30,}}"),
        ("api_org_", rf"{_ALNUM}{{30,}}"),
        glued=True,
    ),
    _token(
        "GitHub token",
        *((f"gh{kind}_", rf"{_ALNUM}{{36,}}") for kind in "pousr"),
        ("github_pat_", r"\w{40,}"),
        glued=True,
    ),
    _token("GitLab token", *((f"gl{kind}-", rf"{_WORD}{{20,}}") for kind in ("pat", "dt", "rt", "cbt"))),
    _token(
        "AWS access key",
        *((kind, r"[A-Z0-9]{16}(?![A-Za-z0-9])") for kind in ("AKIA", "ASIA", "AROA", "AIDA")),
    ),
    _token(
        "Google API key",
        ("AIza", rf"{_WORD}{{35}}"),
        ("GOCSPX-", rf"{_WORD}{{20,}}"),
        ("ya29.", rf"{_WORD}{{20,}}"),
    ),
    _token("OpenRouter key", ("sk-or-v1-", r"[0-9a-f]{40,}")),
    _token("OpenAI or Anthropic key", ("sk-", rf"{_MIXED}{_WORD}{{20,}}")),
    _token(
        "key of a model service",
        ("gsk_", rf"{_ALNUM}{{40,}}"),
        ("xai-", rf"{_ALNUM}{{60,}}"),
        ("pplx-", rf"{_ALNUM}{{40,}}"),
        ("r8_", rf"{_ALNUM}{{37,}}"),
        ("fw_", rf"{_MIXED}{_ALNUM}{{22,}}"),
        ("jina_", rf"{_WORD}{{50,}}"),
        ("nvapi-", rf"{_WORD}{{50,}}"),
        ("pa-", rf"{_MIXED}{_WORD}{{40,}}"),
    ),
    _token("W&B key", ("wandb_v1_", r"\w{40,}")),
    _token("LangSmith key", ("lsv2_pt_", r"\w{32,}"), ("lsv2_sk_", r"\w{32,}")),
    _token("Pinecone key", ("pcsk_", r"\w{40,}")),
    _token("Databricks token", ("dapi", r"[0-9a-f]{32}(?![A-Za-z0-9])")),
    _token("DigitalOcean token", *((f"do{kind}_v1_", r"[0-9a-f]{64}") for kind in "opr")),
    _token("Docker token", ("dckr_pat_", rf"{_WORD}{{20,}}"), ("dckr_oat_", rf"{_WORD}{{20,}}")),
    _token("HashiCorp Vault token", ("hvs.", rf"{_WORD}{{60,}}"), ("hvb.", rf"{_WORD}{{60,}}")),
    _token("Grafana token", ("glsa_", r"\w{32,}"), ("glc_", r"[A-Za-z0-9+/=]{32,}")),
    _token("SendGrid key", ("SG.", rf"{_WORD}{{16,32}}\.{_WORD}{{32,}}")),
    _token("Mailgun key", ("key-", _HEX32)),
    _token("Twilio key", ("SK", _HEX32)),
    _token("Linear or Notion key", ("lin_api_", rf"{_ALNUM}{{32,}}"), ("ntn_", rf"{_ALNUM}{{40,}}")),
    _token("Shopify token", *((f"shp{kind}_", r"[0-9a-fA-F]{32}") for kind in ("at", "ca", "pa", "ss"))),
    _token("Doppler token", *((f"dp.{kind}.", rf"{_ALNUM}{{40,}}") for kind in ("pt", "st", "ct", "sa"))),
    _token("New Relic key", ("NRAK-", r"[A-Z0-9]{27}")),
    _token(
        "Slack token",
        *((f"xox{kind}-", r"[A-Za-z0-9-]{10,}") for kind in "abeprs"),
        ("xapp-", r"[A-Za-z0-9-]{20,}"),
    ),
    _token(
        "webhook address",
        ("https://hooks.slack.com/", r"[a-z]+/[A-Za-z0-9/]{20,}"),
        ("https://discord.com/api/webhooks/", rf"\d{{15,}}/{_WORD}{{40,}}"),
        ("https://discordapp.com/api/webhooks/", rf"\d{{15,}}/{_WORD}{{40,}}"),
    ),
    Rule(
        "Telegram bot token",
        re.compile(rf"(?<![A-Za-z0-9])\d{{8,10}}:AA{_WORD}{{33}}(?!{_WORD})"),
        NEW_TOKEN,
        (":AA",),
    ),
    Rule(
        "Azure client secret",
        re.compile(r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])"),
        NEW_TOKEN,
        ("Q~",),
    ),
    _token(
        "Stripe key",
        *((f"{kind}_{mode}_", rf"{_ALNUM}{{20,}}") for kind in ("sk", "rk") for mode in ("live", "test")),
    ),
    _token("npm or PyPI token", ("npm_", rf"{_ALNUM}{{36}}"), ("pypi-", rf"{_WORD}{{50,}}")),
    _token("web token (JWT)", ("eyJ", rf"{_WORD}{{10,}}\.eyJ{_WORD}{{10,}}\.{_WORD}{{10,}}")),
    Rule(
        "private key",
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d"
            r"|AGE-SECRET-KEY-1[A-Z0-9]{40,}"
        ),
        "replace the key (it may be known by now) and remove it",
        ("-----BEGIN ", "PuTTY-User-Key-File-", "AGE-SECRET-KEY-1"),
        starts=True,
    ),
)

_REST = r"[^\s\"'`<>|)\]},;]*"
_SEPARATOR = r"(?:/|\\{1,2})"
# What comes before a path: nothing, a quote, a blank, `=`; not the rest of a URL or of a longer path.
PATH_START = r"(?:(?<=file://)|(?<![A-Za-z0-9_.~/\\<-]))"
_HOMES = ("home", "homes", "home1", "home2", "Users")
_MACHINE_FOLDERS = (
    *(
        "root",
        "tmp",
        "var/tmp",
        "var/folders",
        "private/var",
        "private/tmp",
        "mnt",
        "media",
        "scratch",
        "gpfs",
    ),
    *("lustre", "beegfs", "ceph", "fsx", "nfs", "nobackup", "workspace", "kaggle/working", "kaggle/input"),
    *("content/drive", "github/workspace", "dbfs"),
)
# Folders that machines often keep data in; with one more level, as /data/x may mean anything.
_DATA_FOLDERS = (
    *("opt", "srv", "work", "data", "storage", "project", "projects", "export", "code", "app", "users"),
    *("cluster", "volume", "volumes", "Volume", "Volumes"),
)


def _below(folders: Sequence[str]) -> list[str]:
    return [f"/{folder}/" for folder in folders]


PROSE: tuple[Rule, ...] = (
    Rule(
        "path in a home folder",
        re.compile(rf"{PATH_START}(?:/[\w.-]+){{0,3}}?/(?:{'|'.join(_HOMES)})/[\w.@+-]+(?:/{_REST})?"),
        NO_PATH,
        _below(_HOMES),
    ),
    Rule(
        "path in a home folder",
        re.compile(
            rf"(?<![A-Za-z0-9])(?:[A-Za-z]:|/[a-z]){_SEPARATOR}Users{_SEPARATOR}[^\\/\s\"'`<>|]+[^\s\"'`<>|,;]*"
        ),
        NO_PATH,
        ("Users",),
    ),
    Rule(
        "path in a home folder",
        re.compile(rf"(?<![\w/~.\\]){'~'}[a-z][\w-]{{2,}}/[\w.-]{_REST}"),
        NO_PATH,
        ("~",),
    ),
    Rule(
        "local path",
        re.compile(rf"{PATH_START}/(?:{'|'.join(_MACHINE_FOLDERS)})/[\w.@+-]{_REST}"),
        NO_PATH,
        _below(_MACHINE_FOLDERS),
    ),
    Rule(
        "local path",
        re.compile(rf"{PATH_START}/(?:{'|'.join(_DATA_FOLDERS)})/[\w.@+-]+/[\w.@+-]{_REST}"),
        NO_PATH,
        _below(_DATA_FOLDERS),
    ),
    Rule(
        "local path",
        re.compile(r"(?<![A-Za-z0-9])[A-Z]:\\{1,2}[\w.@+-]+(?:\\{1,2}[\w.@+ -]+)+"),
        NO_PATH,
        (":\\",),
    ),
    Rule(
        "path on a server",
        re.compile(
            r"(?<![\w\\])(?:\\\\[\w.-]{2,}(?:\\[\w.$@-]{2,}){2,}|\\{4}[\w.-]{2,}(?:\\\\[\w.$@-]{2,}){2,})"
        ),
        NO_PATH,
        ("\\\\",),
    ),
    Rule(
        "local path",
        re.compile(rf"(?<![A-Za-z0-9_])file://(?:localhost)?/(?!path/to/)[\w.@+-]{_REST}"),
        NO_PATH,
        ("file://",),
    ),
    Rule(
        "path on a server",
        re.compile(
            rf"\b(?:(?:ssh|sftp|rsync|smb)://(?!git@)[\w.@-]+|(?:hdfs|viewfs|abfss?|dbfs|s3a?|gs):/{_REST}"
            rf"/(?:users?|home)/[\w.-]+|dbfs:/(?:users?|home)/[\w.-]+){_REST}"
        ),
        NO_PATH,
        ("ssh://", "sftp://", "rsync://", "smb://", "fs:/", "fss:/", "s3:/", "s3a:/", "gs:/"),
    ),
    Rule(
        "path on a server",
        re.compile(rf"(?<![\w.@/])(?!git@)[\w.-]+@[\w.-]+:[~/][\w.-]{_REST}"),
        NO_PATH,
        ("@",),
    ),
    Rule(
        "password in a URL",
        re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>{}$]*:(?!pass(?:word|wd)?@|pwd@)[^\s/@\"'<>{}$]{3,}@"),
        "change the password and remove it from the URL",
        ("://",),
    ),
    Rule(
        "token in a URL",
        re.compile(r"://(?=[^\s/@]*\d)(?=[^\s/@]*[A-Za-z])[\w~-]{20,}@(?=[\w.-])"),
        NEW_TOKEN,
        ("://",),
    ),
    Rule(
        "signature in a URL",
        re.compile(r"[?&](?:sig|X-Amz-Signature|X-Goog-Signature|Signature)=[\w%/+~-]{20,}={0,2}"),
        "remove what follows the question mark",
        ("sig=", "Signature="),
    ),
    Rule(
        "password on a command line",
        re.compile(r"\bcurl\s[^\n]*?(?:-u|--user)[ =]?[\"']?(?!user:pass)[\w.@-]+:[^\s\"'$<{\[]{4,}"),
        "change the password and remove it",
        ("-u", "--user"),
    ),
    Rule(
        "password of a .netrc file",
        re.compile(r"\b(?:machine\s+\S+|default)\s+login\s+\S+\s+password\s+[^\s$<{\[]{4,}"),
        "change the password and remove it",
        ("login",),
    ),
    Rule(
        "authorization header",
        re.compile(
            r"(?i)\b(?:bearer|authorization\W{1,4}(?:basic|token))\s+(?=[A-Za-z0-9._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{12,}"
        ),
        NEW_TOKEN,
        ("bearer", "Bearer", "BEARER", "uthorization", "UTHORIZATION"),
    ),
)
# In binary files a path follows a length that may look like a letter, so anything may stand before a home.
# A drive letter is too short a sign there.
BINARY: tuple[Rule, ...] = (
    Rule("path in a home folder", re.compile(rf"/(?:home|Users)/[\w.@+-]+/{_REST}"), NO_PATH, _below(_HOMES)),
    Rule(
        "path in a home folder",
        re.compile(rf"[A-Za-z]:{_SEPARATOR}Users{_SEPARATOR}[^\\/\s\"'`<>|]+[^\s\"'`<>|,;]*"),
        NO_PATH,
        ("Users",),
    ),
    *(
        rule
        for rule in PROSE
        if rule.kind in ("path in a home folder", "local path") and ":\\" not in rule.anchors
    ),
)
