"""Starting, stopping, restarting; clients in processes of their own; pages; a killed server."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hubdistill.errors import HubDistillError
from hubdistill.localhub import DEMO_TOKEN, Account, LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def run_client(
    hub: LocalHub, cache: Path, program: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program whose client was pointed at the Hub before it was imported."""
    variables = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": "hf_demo",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    with LocalHub(tmp_path) as hub:
        api = HfApi(endpoint=hub.endpoint, token=DEMO_TOKEN)
        api.create_repo("demo/kept", private=True)
        oid = api.upload_file(path_or_fileobj=b"\0weights", path_in_repo="a.bin", repo_id="demo/kept").oid
        api.create_discussion("demo/kept", title="Still here?")
        slug = api.create_collection(title="Kept", namespace="demo").slug
    with LocalHub(tmp_path) as hub:
        api = HfApi(endpoint=hub.endpoint, token=DEMO_TOKEN)
        info = api.model_info("demo/kept")
        assert (info.sha, info.private) == (oid, True)
        assert api.get_discussion_details("demo/kept", 1).title == "Still here?"
        assert api.get_collection(slug).title == "Kept"


def test_a_stopped_hub_no_longer_answers(tmp_path: Path) -> None:
    with LocalHub(tmp_path) as hub:
        assert httpx2.get(hub.endpoint).status_code == 200
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(hub.endpoint)


def test_a_taken_port_is_named(tmp_path: Path, hub: LocalHub) -> None:
    port = int(hub.endpoint.rpartition(":")[2])
    with pytest.raises(HubDistillError, match=f"cannot listen on port {port}"):
        LocalHub(tmp_path, port=port).start()


def test_only_this_machine_is_served(hub: LocalHub) -> None:
    assert hub.endpoint.startswith("http://127.0.0.1:")


def test_leftovers_of_a_killed_server_are_swept(tmp_path: Path) -> None:
    with LocalHub(tmp_path) as hub:
        HfApi(endpoint=hub.endpoint, token=DEMO_TOKEN).create_repo("demo/x")
    repository = tmp_path / "models" / "demo" / "x.git"
    (repository / "refs" / "heads" / "main.lock").touch()
    (repository / "lfs" / "tmp").mkdir(parents=True)
    (repository / "lfs" / "tmp" / "half").write_bytes(b"x")
    (tmp_path / "models" / ".hubdistill-1").mkdir()
    (tmp_path / "models" / ".git").mkdir()
    with LocalHub(tmp_path) as hub:
        api = HfApi(endpoint=hub.endpoint, token=DEMO_TOKEN)
        api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id="demo/x")
    assert not (tmp_path / "models" / ".hubdistill-1").exists()
    assert (tmp_path / "models" / ".git").exists()
    assert not (repository / "lfs" / "tmp").exists()


SERVER = """
import sys
from hubdistill.localhub import serve
serve(sys.argv[1], on_ready=lambda hub: print(hub.endpoint, flush=True))
print("done")
"""


def start_server(folder: Path) -> tuple[subprocess.Popen[str], HfApi]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, HfApi(endpoint=process.stdout.readline().strip(), token=DEMO_TOKEN)


def test_serve_ends_on_ctrl_c(tmp_path: Path) -> None:
    process, api = start_server(tmp_path)
    assert api.whoami()["name"] == "demo"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "done\n")


def test_a_kill_leaves_the_old_head_or_the_new_one(tmp_path: Path) -> None:
    process, api = start_server(tmp_path)
    api.create_repo("demo/x")
    threading.Timer(0.4, process.kill).start()
    known = [api.model_info("demo/x").sha]
    with httpx2.Client(headers={"Authorization": f"Bearer {DEMO_TOKEN}"}) as client:

        def commit_until_the_server_dies() -> None:
            # The plain client does not retry.
            while True:
                content = base64.b64encode(str(len(known)).encode()).decode()
                lines = [
                    {"key": "header", "value": {"summary": f"Commit {len(known)}"}},
                    {"key": "file", "value": {"path": "a.txt", "content": content, "encoding": "base64"}},
                ]
                body = "\n".join(json.dumps(line) for line in lines)
                answer = client.post(f"{api.endpoint}/api/models/demo/x/commit/main", content=body, timeout=5)
                known.append(answer.json()["commitOid"])

        with pytest.raises(httpx2.HTTPError):
            commit_until_the_server_dies()
    process.communicate(timeout=10)
    assert len(known) > 2
    with LocalHub(tmp_path) as hub:
        api = HfApi(endpoint=hub.endpoint, token=DEMO_TOKEN)
        oids = [commit.commit_id for commit in reversed(api.list_repo_commits("demo/x"))]
        # One commit may have landed whose answer died with the server.
        assert oids[: len(known)] == known
        assert len(oids) <= len(known) + 1
        api.upload_file(path_or_fileobj=b"after", path_in_repo="after.txt", repo_id="demo/x")


CARD_PROGRAM = """
import json
from pathlib import Path
from huggingface_hub import ModelCard, create_repo, snapshot_download
create_repo("demo/carded", exist_ok=True)
create_repo("demo/carded", exist_ok=True, token="hf_demo_read")
card = ModelCard("---\\nlicense: mit\\nlanguage: en\\n---\\n# Student\\n")
card.validate()
card.push_to_hub("demo/carded", commit_message="Card")
bad = ModelCard("---\\nlicense: mine\\n---\\n# Student\\n")
try:
    bad.validate()
except ValueError as error:
    refused = str(error)
folder = Path(snapshot_download("demo/carded"))
names = sorted(path.name for path in folder.iterdir())
print(json.dumps([refused, ModelCard.load("demo/carded").data.license, names]))
"""


def test_a_process_with_hf_endpoint_validates_pushes_and_loads_cards(hub: LocalHub, tmp_path: Path) -> None:
    done = run_client(hub, tmp_path, CARD_PROGRAM)
    assert done.returncode == 0, done.stderr
    refused, license_id, files = json.loads(done.stdout)
    assert '"license\\" must be one of' in refused
    assert license_id == "mit"
    assert files == [".gitattributes", "README.md"]


def test_a_client_with_xet_on_sends_text_and_fails_at_once_on_large_files(
    hub: LocalHub, tmp_path: Path
) -> None:
    program = """
import io
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("demo/xet", exist_ok=True)
api.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", repo_id="demo/xet")
api.upload_file(path_or_fileobj=io.BytesIO(b"\\0open file"), path_in_repo="b.bin", repo_id="demo/xet")
api.upload_file(path_or_fileobj=b"\\0large", path_in_repo="a.bin", repo_id="demo/xet")
"""
    done = run_client(hub, tmp_path, program, HF_HUB_DISABLE_XET="0")
    assert done.returncode != 0
    assert "xet-write-token" in done.stderr
    assert HfApi(endpoint=hub.endpoint, token="hf_demo").list_repo_files("demo/xet") == [
        ".gitattributes",
        "a.txt",
        "b.bin",
    ]


def test_without_the_extra_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['dulwich'] = None; import hubdistill; import hubdistill.localhub"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr
    assert "pip install 'hubdistill[localhub]'" in done.stderr


def test_importing_it_does_not_import_torch() -> None:
    program = "import sys, hubdistill.localhub; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_pages_show_the_card_and_escape_everything(tmp_path: Path) -> None:
    readme = (
        b"---\nlicense: mit\ntags: ['</pre><script>']\n---\n# Hi\n\n<script>alert(1)</script>\n\n"
        b"[x](javascript:alert(1))\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    with LocalHub(tmp_path, {"t": Account("me")}) as hub:
        api = HfApi(endpoint=hub.endpoint, token="t")
        api.create_repo("me/shown")
        api.create_repo("me/hidden", private=True)
        done = api.create_commit(
            "me/shown",
            [CommitOperationAdd("README.md", readme), CommitOperationAdd("<b>.txt", b"x")],
            commit_message="<i>title</i>",
        )
        pull = api.create_commit(
            "me/shown", [CommitOperationAdd("b.txt", b"b")], commit_message="<u>", create_pr=True
        )
        pages = [httpx2.get(str(url)) for url in (f"{hub.endpoint}/me/shown", done.commit_url, pull.pr_url)]
        index = httpx2.get(hub.endpoint).text
        assert httpx2.get(f"{hub.endpoint}/me/hidden").status_code == 404
    assert [page.status_code for page in pages] == [200, 200, 200]
    for page in pages:
        assert not any(tag in page.text for tag in ("<script", "<i>", "<b>", "<u>", 'href="javascript'))
    assert "<h1>Hi</h1>" in pages[0].text
    assert "<td>2</td>" in pages[0].text
    assert "&lt;b&gt;.txt" in pages[0].text
    assert "me/shown" in index
    assert "me/hidden" not in index
