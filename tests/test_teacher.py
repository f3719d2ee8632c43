"""The teacher: how it is loaded, and how it embeds a corpus once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SPECIAL, wordpiece_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from transformers import AutoModel, BertConfig, ModernBertConfig, PreTrainedConfig, Qwen3Config

from hubdistill import encoding, recipe
from hubdistill.corpus import TextTable, read_corpus, write_texts
from hubdistill.embedding_cache import EmbeddingCache
from hubdistill.encoding import encode, plan_batches
from hubdistill.errors import TeacherError
from hubdistill.teacher import Teacher, embed, load_teacher

TEXTS = [
    "a sentence",
    "this is not the text, it is a model of that text and of the sentence in it",
    "rivers",
    "",
    "long " * 90,
    *(f"the number {i} " + "and so on " * (i % 7) for i in range(30)),
]
WIDTH = 32
SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES),
    "modernbert": ModernBertConfig(
        **SIZES, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3, local_attention=8
    ),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8, bos_token_id=2, eos_token_id=3),
}


def make_model(folder: Path, kind: str, pooling: Pooling, *after: torch.nn.Module) -> SentenceTransformer:
    torch.manual_seed(0)
    encoder = AutoModel.from_config(CONFIGS[kind])
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder.save_pretrained(folder)
    tokenizer = wordpiece_tokenizer()
    if kind != "bert":
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.padding_side = "left" if kind == "qwen3" else "right"
    tokenizer.save_pretrained(folder)
    modules = [Transformer(str(folder), max_seq_length=48), pooling, *after]
    return SentenceTransformer(modules=modules, device="cpu", prompts={"query": "this is: "})


def encoded(model: SentenceTransformer, table: TextTable, **options: Any) -> np.ndarray:
    positions = np.arange(len(table))
    vectors = np.full((len(table), model.get_embedding_dimension() or 0), np.nan, np.float32)
    for batch in encode(model, table, positions, **options):
        vectors[batch.positions] = batch.vectors
    return vectors


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TextTable:
    return write_texts(tmp_path_factory.mktemp("texts"), TEXTS)


@pytest.fixture
def tiny(tiny_teacher_folder: Path) -> Teacher:
    settings = recipe.Teacher(model=str(tiny_teacher_folder), dtype="float32", hub_id="org/tiny")
    return load_teacher(settings, base=Path(), device="cpu")


@pytest.mark.parametrize("prompt", [None, "this is: "])
@pytest.mark.parametrize(
    ("kind", "pooling", "after"),
    [
        ("bert", Pooling(WIDTH, "mean"), [Normalize()]),
        ("bert", Pooling(WIDTH, "mean", include_prompt=False), [Dense(WIDTH, 12), Normalize()]),
        ("bert", Pooling(WIDTH, "cls"), []),
        ("modernbert", Pooling(WIDTH, "mean"), []),
        ("qwen3", Pooling(WIDTH, "lasttoken"), [Normalize()]),
        ("qwen3", Pooling(WIDTH, "mean", include_prompt=False), []),
    ],
)
def test_vectors_are_those_of_encode(
    kind: str,
    pooling: Pooling,
    after: list[torch.nn.Module],
    prompt: str | None,
    table: TextTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, "WINDOW", 20)
    monkeypatch.setattr(encoding, "_READ", 7)
    model = make_model(tmp_path, kind, pooling, *after)
    expected = model.encode(TEXTS, prompt=prompt, batch_size=1)
    got = encoded(model, table, prompt=prompt, precision="float32", batch_tokens=300)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_batches_side_by_side_give_the_same_vectors_and_the_threads_back(
    table: TextTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path, "bert", Pooling(WIDTH, "mean"), Normalize())
    expected = encoded(model, table, precision="float32", batch_tokens=300)
    seen: set[tuple[str, int]] = set()
    forward = model.forward

    def noting(features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        result: dict[str, torch.Tensor] = forward(features, **kwargs)
        return result

    before = torch.get_num_threads()
    torch.set_num_threads(6)
    monkeypatch.setattr(model, "forward", noting)
    monkeypatch.setattr(encoding, "PARALLEL_BATCHES", 3)
    try:
        got = encoded(model, table, precision="float32", batch_tokens=300)
        assert torch.get_num_threads() == 6
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert len(seen) > 1
    assert {threads for _, threads in seen} == {2}


@pytest.mark.parametrize("kind", CONFIGS)
def test_bfloat16_stays_close_and_leaves_the_teacher_as_it_was(
    kind: str, table: TextTable, tmp_path: Path
) -> None:
    model = make_model(tmp_path, kind, Pooling(WIDTH, "mean"), Normalize())
    expected = model.encode(TEXTS)
    got = encoded(model, table, precision="bfloat16")
    assert not np.array_equal(got, expected)
    assert (got * expected).sum(1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    assert model.dtype == torch.float32
    assert np.array_equal(model.encode(TEXTS), expected)


def test_a_default_prompt_and_a_truncated_width_hold(table: TextTable, tmp_path: Path) -> None:
    model = make_model(tmp_path, "bert", Pooling(WIDTH, "mean"))
    model.default_prompt_name = "query"
    model.truncate_dim = 10
    got = encoded(model, table, precision="float32")
    np.testing.assert_allclose(got, model.encode(TEXTS), atol=1e-5)
    assert not np.allclose(got, model.encode(TEXTS, prompt=""), atol=1e-3)


def test_a_static_teacher_tokenises_for_itself(table: TextTable) -> None:
    torch.manual_seed(0)
    static = StaticEmbedding(wordpiece_tokenizer(), embedding_dim=8)
    model = SentenceTransformer(modules=[static, Normalize()], device="cpu")
    assert np.array_equal(encoded(model, table), model.encode(TEXTS))


def test_batches_hold_their_budget_and_every_text_once() -> None:
    lengths = np.array([5, 1, 300, 5, 40, 7, 40, 2])
    batches = plan_batches(lengths, 100)
    assert [batch.tolist() for batch in batches] == [[2], [4, 6], [5, 0, 3, 7, 1]]
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= 100 for batch in batches)


def test_windows_are_bounded_in_number_and_in_size(table: TextTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "WINDOW", 10)
    monkeypatch.setattr(encoding, "WINDOW_CHARACTERS", 400)
    monkeypatch.setattr(encoding, "_READ", 5)
    windows = list(encoding._windows(table, np.arange(len(table))))
    assert [text for _, texts in windows for text in texts] == TEXTS
    assert np.array_equal(np.concatenate([positions for positions, _ in windows]), np.arange(len(table)))
    # The first five texts alone are larger than a window; of the others ten are fewer than fit.
    assert [len(texts) for _, texts in windows] == [5, 10, 10, 10]


def test_one_text_far_longer_than_the_others_does_not_pad_them(table: TextTable) -> None:
    lengths = np.array([50] + [5] * 1000)
    padded = sum(len(batch) * lengths[batch].max() for batch in plan_batches(lengths, 256))
    assert padded < 1.2 * lengths.sum()


def test_a_local_teacher_is_described_by_what_it_is(tiny: Teacher, tiny_teacher_folder: Path) -> None:
    weights = (tiny_teacher_folder / "model.safetensors").read_bytes()
    assert tiny.revision == f"sha256:{hashlib.sha256(weights).hexdigest()}"
    assert (tiny.name, tiny.base_model_id) == ("org/tiny", "org/tiny")
    assert (tiny.max_length, tiny.prompt) == (64, None)
    assert (tiny.license, tiny.languages) == (None, ())


def test_a_nameless_folder_gives_its_last_part_and_no_base_model(tiny_teacher_folder: Path) -> None:
    settings = recipe.Teacher(model=tiny_teacher_folder.name)
    teacher = load_teacher(settings, base=tiny_teacher_folder.parent, device="cpu")
    assert (teacher.name, teacher.base_model_id) == ("tiny-teacher", None)


def test_licence_and_languages_come_from_the_card(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "carded"
    shutil.copytree(tiny_teacher_folder, folder)
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage:\n- no\n- en\n---\n# A model\n")
    teacher = load_teacher(recipe.Teacher(model=str(folder)), base=Path(), device="cpu")
    assert (teacher.license, teacher.languages) == ("mit", ("no", "en"))


def test_minilm_is_the_published_one(minilm_folder: Path) -> None:
    teacher = load_teacher(recipe.Teacher(model=str(minilm_folder)), base=Path(), device="cpu")
    assert teacher.revision == "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (teacher.license, teacher.languages, teacher.max_length) == ("apache-2.0", ("en",), 256)


def test_prompt_and_maximum_length_are_the_recipes(tiny_teacher_folder: Path) -> None:
    settings = recipe.Teacher(model=str(tiny_teacher_folder), max_length=16, prompt="a text: ")
    teacher = load_teacher(settings, base=Path(), device="cpu")
    assert (teacher.max_length, teacher.model.max_seq_length, teacher.prompt) == (16, 16, "a text: ")


def test_an_empty_prompt_does_not_silence_a_default_one(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(
        str(tiny_teacher_folder), device="cpu", prompts={"query": "search: "}, default_prompt_name="query"
    )
    model.save_pretrained(str(tmp_path), create_model_card=False)
    with pytest.raises(TeacherError, match=r"prompt is empty, but .* puts 'search: ' before every text"):
        load_teacher(recipe.Teacher(model=str(tmp_path), prompt=""), base=Path(), device="cpu")
    assert load_teacher(recipe.Teacher(model=str(tmp_path)), base=Path(), device="cpu").prompt == "search: "


def test_the_key_tells_teachers_apart(tiny: Teacher, tiny_teacher_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / tiny_teacher_folder.name
    shutil.copytree(tiny_teacher_folder, folder)
    settings = {"model": str(folder), "hub_id": "org/tiny", "dtype": "float32"}

    def key(**changes: Any) -> str:
        given = recipe.Teacher.model_validate({**settings, **changes})
        return load_teacher(given, base=Path(), device="cpu").cache_key().digest

    assert key() == tiny.cache_key().digest
    assert len({key(), key(prompt="x"), key(max_length=16), key(dtype="bfloat16"), key(hub_id="o/b")}) == 5
    before = key()
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    vocabulary["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    assert key() != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "no/such/folder"}, r"there is no folder .*is no Hub id"),
        ({"model": "org/nowhere"}, r"neither in the local cache nor a folder .*Hub cannot be reached"),
        (
            {"model": "tiny-teacher", "max_length": 4096},
            r"max_length is 4096, but .* 64 positions",
        ),
    ],
)
def test_a_teacher_that_cannot_be_had_says_why(
    settings: dict[str, Any], message: str, tiny_teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TeacherError, match=message):
        load_teacher(recipe.Teacher(**settings), base=tiny_teacher_folder.parent, device="cpu")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("modules.json", "has no modules.json, so it is not a sentence-transformers model"),
        ("model.safetensors", "holds no weights"),
        ("config.json", "cannot be loaded"),
    ],
)
def test_a_folder_that_is_not_a_whole_model_says_what_lacks(
    broken: str, message: str, tiny_teacher_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_teacher_folder, folder)
    (folder / broken).unlink()
    with pytest.raises(TeacherError, match=message):
        load_teacher(recipe.Teacher(model=str(folder)), base=Path(), device="cpu")


def count_texts(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of texts in each forward pass from now on."""
    seen: list[int] = []
    forward = teacher.model.forward

    def counting(features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        seen.append(len(features["input_ids"]))
        result: dict[str, torch.Tensor] = forward(features, **kwargs)
        return result

    monkeypatch.setattr(teacher.model, "forward", counting)
    return seen


def test_the_teacher_is_asked_only_for_what_is_new(
    tiny: Teacher, table: TextTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = count_texts(tiny, monkeypatch)
    embed(tiny, table.head(20), tmp_path)
    assert sum(seen) == 20
    vectors = embed(tiny, table, tmp_path)
    assert sum(seen) == len(TEXTS)
    embed(tiny, table.head(5), tmp_path)
    assert sum(seen) == len(TEXTS)
    expected = tiny.model.encode(TEXTS).astype(np.float16)
    np.testing.assert_allclose(vectors[:], expected, atol=2e-3)


def test_a_corrupt_shard_is_embedded_again(tiny: Teacher, table: TextTable, tmp_path: Path) -> None:
    expected = embed(tiny, table, tmp_path)[:]
    (shard,) = (tmp_path / tiny.cache_key().digest).glob("*.vectors")
    content = bytearray(shard.read_bytes())
    content[100] ^= 64
    shard.write_bytes(content)
    assert np.array_equal(embed(tiny, table, tmp_path)[:], expected)


def test_vectors_that_came_with_the_texts_are_not_embedded(
    tiny: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"the text {i}", "label": [float(i)] * WIDTH} for i in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "b.txt").write_text("\n".join(f"a sentence {i}" for i in range(30)))
    sources = [{"files": ["a.jsonl"], "label": "label"}, {"files": ["b.txt"]}]
    settings = recipe.Corpus.model_validate({"sources": sources, "held_out": 0.2})
    corpus = read_corpus(settings, tmp_path / "corpus", base=tmp_path, seed=0)
    seen = count_texts(tiny, monkeypatch)
    vectors = embed(tiny, corpus.train, tmp_path / "cache", labels=corpus.labels)
    given = corpus.train.source_index == 0
    assert sum(seen) == (~given).sum()
    numbers = [int(text.split()[-1]) for text in corpus.train]
    assert np.array_equal(vectors[:][given][:, 0], np.array(numbers)[given])
    # Without the labels the same texts are the teacher's own to embed.
    embed(tiny, corpus.train, tmp_path / "cache")
    assert sum(seen) == (~given).sum() + len(corpus.train)


def test_labels_of_another_width_are_refused(tiny: Teacher, tmp_path: Path) -> None:
    rows = [{"text": f"the text {i}", "label": [float(i)] * 5} for i in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = recipe.Corpus.model_validate(
        {"sources": [{"files": ["a.jsonl"], "label": "label"}], "held_out": 0.2}
    )
    corpus = read_corpus(settings, tmp_path / "corpus", base=tmp_path, seed=0)
    with pytest.raises(TeacherError, match=r"vectors of 5 dimensions, org/tiny gives 32"):
        embed(tiny, corpus.train, tmp_path / "cache", labels=corpus.labels)


SLOW_RUN = """
import sys, time
from pathlib import Path
import numpy as np
from hubdistill import embedding_cache, recipe
from hubdistill.corpus import TextTable
from hubdistill.teacher import embed, load_teacher

embedding_cache.SHARD_BYTES = 40 * 32 * 2
teacher = load_teacher(
    recipe.Teacher(model=sys.argv[1], hub_id="org/tiny", dtype="float32", batch_tokens=256),
    base=Path(), device="cpu",
)
forward = teacher.model.forward
def slowly(features, **kwargs):
    time.sleep(0.05)
    return forward(features, **kwargs)
teacher.model.forward = slowly
embed(teacher, TextTable(Path(sys.argv[2]), np.arange(2000)), Path(sys.argv[3]))
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_where_it_stopped(
    end: signal.Signals,
    tiny: Teacher,
    tiny_teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = write_texts(tmp_path / "texts", [f"the text number {i} of many" for i in range(2000)])
    cache_folder = tmp_path / "cache"
    shards = cache_folder / tiny.cache_key().digest
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, tiny_teacher_folder, table.folder, cache_folder],
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while len(list(shards.glob("*.json"))) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(end)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0, errors.decode()
    if end == signal.SIGINT:
        assert b"KeyboardInterrupt" in errors
    kept = len(EmbeddingCache.open(cache_folder, tiny.cache_key()))
    assert 120 <= kept < 2000
    seen = count_texts(tiny, monkeypatch)
    vectors = embed(tiny, table, cache_folder)
    assert sum(seen) == 2000 - kept
    np.testing.assert_allclose(vectors[:5], tiny.model.encode(table.texts(0, 5)), atol=2e-3)


def test_an_interrupt_keeps_the_rows_in_hand(
    tiny: Teacher, table: TextTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = count_texts(tiny, monkeypatch)
    forward = tiny.model.forward

    def interrupted(features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        if len(seen) == 3:
            raise KeyboardInterrupt
        result: dict[str, torch.Tensor] = forward(features, **kwargs)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(tiny.model, "forward", interrupted)
        patch.setattr(encoding, "default_batch_tokens", lambda device: 128)
        # With more of them, batches that the model saw may still be waiting for one that failed.
        patch.setattr(encoding, "PARALLEL_BATCHES", 1)
        with pytest.raises(KeyboardInterrupt):
            embed(tiny, table, tmp_path)
    kept = sum(seen)
    assert len(EmbeddingCache.open(tmp_path, tiny.cache_key())) == kept > 0
    embed(tiny, table, tmp_path)
    assert sum(seen) == len(TEXTS)


RANKS = """
import sys
from pathlib import Path
import numpy as np
from hubdistill import recipe
from hubdistill.corpus import TextTable
from hubdistill.teacher import embed, load_teacher

teacher = load_teacher(recipe.Teacher(model=sys.argv[1], dtype="float32"), base=Path(), device="cpu")
seen = []
forward = teacher.model.forward
def counting(features, **kwargs):
    seen.append(len(features["input_ids"]))
    return forward(features, **kwargs)
teacher.model.forward = counting
vectors = embed(teacher, TextTable(Path(sys.argv[2]), np.arange(200)), Path(sys.argv[3]))
print(sum(seen), len(vectors))
"""


def test_processes_share_the_work(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    table = write_texts(tmp_path / "texts", [f"the text number {i} of many" for i in range(200)])
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    ranks = [
        subprocess.Popen(
            [sys.executable, script, tiny_teacher_folder, table.folder, tmp_path / "cache"],
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(29_500 + os.getpid() % 1000),
                "WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
            },
        )
        for rank in range(2)
    ]
    results = [process.communicate(timeout=120)[0].split() for process in ranks]
    embedded = [int(done) for done, _ in results]
    assert sum(embedded) == 200
    assert min(embedded) > 60
    assert [int(total) for _, total in results] == [200, 200]


def test_special_tokens_are_where_models_expect_them() -> None:
    assert wordpiece_tokenizer().convert_tokens_to_ids(SPECIAL) == [0, 1, 2, 3, 4]
