"""Footprint: time to load and peak memory, in a process of each model's own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from evaluation.word_models import word_model

from hubdistill.evaluation import footprint, load_and_embed
from hubdistill.evaluation.architecture import describe_architecture
from hubdistill.evaluation.findings import Findings, texts_sha256
from hubdistill.evaluation.footprint import measure_footprint
from hubdistill.recipe import Speed
from hubdistill.report import EvaluationData, Model

TEXTS = {2: ["sun moon"], 3: ["sun moon sun", "moon sun moon"]}
CHILD = load_and_embed.__file__


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    static = word_model({"sun": [1.0, 0.0], "moon": [0.0, 1.0]})
    folder = tmp_path_factory.mktemp("static")
    static.save(str(folder), create_model_card=False)
    facts = Model(
        role="student",
        name="static",
        revision="1",
        architecture=describe_architecture(static),
        bytes=1,
        dtype="float32",
    )
    return facts, folder


def findings() -> Findings:
    found = Findings(resamples=100, seed=12, reproduce="call")
    texts = [text for group in TEXTS.values() for text in group]
    data = EvaluationData(kind="speed", title="t", source="s", n=len(texts), sha256=texts_sha256(texts))
    found.add_data("speed", data)
    return found


def script(folder: Path, code: str) -> str:
    """A file to run in place of the real child, which takes seconds for its imports."""
    path = folder / "child.py"
    path.write_text(code)
    return str(path)


def test_a_process_of_its_own_says_what_a_model_takes(model: tuple[Model, Path]) -> None:
    found = findings()
    measure_footprint(found, "speed", [model], TEXTS, Speed(batch_sizes=(4, 1)), device="cpu")
    load, memory = found.measurements
    assert (load.metric, load.model, load.n, load.parameters) == ("load_seconds", "static", 3, {})
    assert load.interval is not None
    assert 0 < load.interval.low <= load.value <= load.interval.high < 60
    assert load.interval.method == "lowest and highest of 3 repeats"
    assert (memory.metric, memory.n) == ("peak_memory", 4)
    assert memory.parameters == {"tokens": 3, "batch_size": 4}
    # torch alone takes more than the one, and nothing here needs the other.
    assert 50e6 < memory.value < 4e9


def test_a_transformer_is_loaded_as_it_was_measured(tiny_teacher_folder: Path) -> None:
    wish: load_and_embed.Wish = {
        "folder": str(tiny_teacher_folder),
        "device": "cpu",
        "dtype": "bfloat16",
        "trust_remote_code": False,
        "threads": torch.get_num_threads(),
        "texts": ["one", "and another"],
        "loads": 2,
    }
    answer = load_and_embed.load_and_embed(wish)
    assert len(answer["load_seconds"]) == 2
    assert min(answer["load_seconds"]) > 0
    assert answer["peak_memory"] >= psutil.Process().memory_info().rss * 0.5
    assert answer["peak_device_memory"] is None


def test_the_peak_is_the_process_s_own_and_not_its_parent_s() -> None:
    peak = "import runpy, sys; print(runpy.run_path(sys.argv[1])['peak_resident_bytes']())"
    parent = (
        "import subprocess, sys\n"
        "held = b'x' * 400_000_000\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]], check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent, peak, CHILD], capture_output=True, check=True, text=True
    )
    assert 1e6 < int(done.stdout) < 200e6


@pytest.mark.skipif(sys.platform == "win32", reason="an orphan keeps its parent's number")
def test_a_process_ends_when_its_parent_is_killed() -> None:
    # It waits for its wish, which never comes: the test keeps the other end of the pipe.
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-P', sys.argv[1]])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        for _ in range(500):
            if child.num_threads() > 1:  # It watches.
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([child], timeout=10)
        assert not alive


def test_the_child_has_this_process_s_threads_and_environment(
    model: tuple[Model, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import json, os, sys\n"
        "wish = json.load(sys.stdin)\n"
        "json.dump([wish, os.environ['ONE'], os.environ['HF_HUB_OFFLINE']], open(os.environ['ONE'], 'w'))\n"
        "print('said by a model')\n"
        'print(\'{"load_seconds": [3, 1, 8], "peak_memory": 5, "peak_device_memory": 7}\')\n'
    )
    monkeypatch.setattr(load_and_embed, "__file__", script(tmp_path, code))
    monkeypatch.setenv("ONE", str(tmp_path / "wish.json"))
    found = findings()
    measure_footprint(found, "speed", [model], TEXTS, Speed(batch_sizes=(3,)), device="cpu")
    wish = {
        "folder": str(model[1].resolve()),
        "device": "cpu",
        "dtype": "float32",
        "trust_remote_code": False,
        "threads": torch.get_num_threads(),
        "texts": ["sun moon sun", "moon sun moon", "sun moon sun"],
        "loads": 3,
    }
    assert json.loads((tmp_path / "wish.json").read_text()) == [wish, str(tmp_path / "wish.json"), "1"]
    assert {m.metric: m.value for m in found.measurements} == {
        "load_seconds": 3,
        "peak_memory": 5,
        "peak_device_memory": 7,
    }


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such weights')", "process of its own: ValueError: no such weights"),
        ("import os; os._exit(3)", "code 3 and without a message"),
        ("import time; time.sleep(60)", "did not end in 1 s"),
    ],
)
def test_a_child_that_fails_leaves_the_footprint_out_for_all(
    model: tuple[Model, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: str,
    message: str,
) -> None:
    first = (
        "import json, sys\n"
        "if json.load(sys.stdin)['dtype'] == 'float32':\n"
        '    print(\'{"load_seconds": [3], "peak_memory": 5, "peak_device_memory": 7}\')\n'
        "    sys.exit()\n"
    )
    monkeypatch.setattr(load_and_embed, "__file__", script(tmp_path, first + code))
    monkeypatch.setattr(footprint, "SECONDS", 1)
    facts, folder = model
    models = [model, (facts.model_copy(update={"name": "other", "dtype": "float16"}), folder)]
    found = findings()
    with caplog.at_level(logging.WARNING):
        measure_footprint(found, "speed", models, TEXTS, Speed(), device="cpu")
    assert not found.measurements
    assert "time to load and peak memory are left out for all models: other" in caplog.text
    assert message in caplog.text


def test_footprint_can_be_left_out(model: tuple[Model, Path]) -> None:
    found = findings()
    measure_footprint(found, "speed", [model], TEXTS, Speed(footprint=False), device="cpu")
    assert not found.measurements
