"""The corpus: reading, cleaning, mixing and splitting texts."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubdistill import corpus as corpus_module
from hubdistill import recipe
from hubdistill.corpus import Corpus, held_out_mask, normalize, read_corpus, read_pairs, read_rows, text_hash
from hubdistill.errors import CorpusError, CorpusTooSmallError, MissingColumnError, RecipeError
from hubdistill.recipe import CorpusSource, DataSource, SimilaritySet
from hubdistill.text_table import TextTable


def sentences(n: int, topic: str = "rivers") -> list[str]:
    return [f"text number {i} about {topic}" for i in range(n)]


def write(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def corpus_of(*sources: CorpusSource, **settings: object) -> recipe.Corpus:
    return recipe.Corpus.model_validate({"held_out": 0.2, "sources": sources, **settings})


def everything(corpus: corpus_module.Corpus) -> list[str]:
    return sorted([*corpus.train, *corpus.held_out])


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., corpus_module.Corpus]:
    def read(*sources: CorpusSource, seed: int = 1, **settings: object) -> corpus_module.Corpus:
        return read_corpus(corpus_of(*sources, **settings), tmp_path / "corpus", base=tmp_path, seed=seed)

    return read


WRITERS: dict[str, Callable[[Path, list[str]], object]] = {
    "a.txt": write,
    "a.txt.gz": lambda path, texts: path.write_bytes(gzip.compress("\r\n".join(texts).encode())),
    "a.jsonl": lambda path, texts: write(path, [json.dumps({"id": 1, "text": text}) for text in texts]),
    "a.jsonl.gz": lambda path, texts: path.write_bytes(
        gzip.compress("\n".join(json.dumps({"text": text}) for text in texts).encode())
    ),
    "a.csv": lambda path, texts: write(
        path, ["id,text", *('1,"' + text.replace('"', '""') + '"' for text in texts)]
    ),
    "a.tsv": lambda path, texts: write(path, ["id\ttext", *(f"1\t{text}" for text in texts)]),
    "a.parquet": lambda path, texts: pq.write_table(pa.table({"text": texts}), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_form_gives_the_same_texts(
    name: str, read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    texts = [*sentences(40), 'she said "no", twice', "naïve café, 東京"]
    WRITERS[name](tmp_path / name, texts)
    assert everything(read(CorpusSource(files=(name,)))) == sorted(texts)


def test_a_csv_text_may_hold_a_newline(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ["text", '"two', 'lines"'])
    assert list(read_rows(DataSource(files=("a.csv",)), ["text"], base=tmp_path)) == [("two\nlines",)]


def test_tsv_knows_no_quoting(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", ["score\tsentence1\tsentence2", '4.5\t"Open\tsays "he', '1\ta"\t"b'])
    pairs = read_pairs(SimilaritySet(name="a", files=("a.tsv",)), tmp_path)
    assert pairs == [('"Open', 'says "he', 4.5), ('a"', '"b', 1.0)]


def test_the_similarity_benchmark_comes_out_whole(shared_data: Path) -> None:
    pairs = read_pairs(SimilaritySet(name="stsb", files=("sts/stsb-en-test.tsv",)), shared_data)
    assert len(pairs) == 1379
    assert all(0 <= score <= 5 and first and second for first, second, score in pairs)


def test_a_score_that_is_no_number_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", ["score\tsentence1\tsentence2", "high\tone\ttwo"])
    with pytest.raises(CorpusError, match=r"pair 1: the score 'high' is not a number"):
        read_pairs(SimilaritySet(name="a", files=("a.tsv",)), tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_a_missing_column_lists_those_there_are(
    name: str, read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    WRITERS[name](tmp_path / name, sentences(3))
    with pytest.raises(MissingColumnError, match=r"no column 'body'; its columns: .*text"):
        read(CorpusSource(files=(name,), columns=("body",)))
    assert not (tmp_path / "corpus").exists()


def test_without_a_usual_column_the_recipe_is_asked(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.tsv", ["question\tanswer", "why\tso"])
    with pytest.raises(MissingColumnError, match=r"set `columns` to some of: question, answer"):
        read(CorpusSource(files=("a.tsv",)))


def test_several_columns_and_lists_give_a_text_each(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    rows = [{"anchor": f"anchor {i}", "others": [f"near {i}", f"far {i}"]} for i in range(20)]
    write(tmp_path / "a.jsonl", [json.dumps(row) for row in rows])
    corpus = read(CorpusSource(files=("a.jsonl",), columns=("anchor", "others")))
    assert len(everything(corpus)) == 60
    assert corpus.facts.sources[0].columns == ("anchor", "others")


def test_a_column_of_numbers_is_refused(read: Callable[..., corpus_module.Corpus], tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [json.dumps({"text": 7})])
    with pytest.raises(CorpusError, match="column 'text' holds int, not text"):
        read(CorpusSource(files=("a.jsonl",)))


def _truncated_gzip() -> bytes:
    return gzip.compress("\n".join(sentences(2000)).encode())[:-200]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt.gz", b"not gzip at all", r"a\.txt\.gz: damaged after line 0"),
        ("a.txt.gz", _truncated_gzip(), r"a\.txt\.gz: damaged after line \d+"),
        ("a.txt", b"fine\n\xff\xfe\n", r"a\.txt: line 2 is not UTF-8"),
        ("a.jsonl", b'{"text": "fine"}\n{"text": \n', r"a\.jsonl: line 2 is not JSON"),
        ("a.jsonl", b'{"text": "fine"}\n[1]\n', r"a\.jsonl: line 2: expected a JSON object"),
        ("a.tsv", b"text\tid\nfine\t1\nlost\n", r"a\.tsv: line 3 has 1 fields, the header 2"),
        ("a.csv", b'text\n"open\n', r"a\.csv: line \d"),
        ("a.parquet", b"PAR1nonsense", r"a\.parquet: cannot be read"),
        ("a.docx", b"", r"a\.docx: unknown kind of file; expected \.txt"),
    ],
)
def test_damage_is_named_by_file_and_line(
    name: str, content: bytes, message: str, read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read(CorpusSource(files=(name,)))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_pattern_without_files_is_named(read: Callable[..., corpus_module.Corpus]) -> None:
    with pytest.raises(CorpusError, match=r"no file matches 'none\*\.txt'"):
        read(CorpusSource(files=("none*.txt",)))


@pytest.mark.parametrize("texts", [[], ["", " ", "ab"]])
def test_an_empty_corpus_names_its_sources(
    texts: list[str], read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", texts)
    with pytest.raises(CorpusTooSmallError, match=r"no texts in a\.txt"):
        read(CorpusSource(files=("a.txt",)))


def test_a_corpus_too_small_to_hold_out_says_so(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", ["only one"])
    with pytest.raises(CorpusTooSmallError, match=r"1 texts leave none to .* corpus\.held_out = 0\.2"):
        read(CorpusSource(files=("a.txt",)))


@pytest.mark.parametrize(
    ("raw", "form", "expected"),
    [
        ("  padded\t\n", "NFC", "padded"),
        ("cafe\u0301", "NFC", "caf\u00e9"),
        ("\ufb01ne", "NFC", "\ufb01ne"),
        ("\ufb01ne", "NFKC", "fine"),
        ("one\r\ntwo\rthree", "NFC", "one\ntwo\nthree"),
        ("a\x00b\x1b[0m", "NFC", "a b [0m"),
        ("\ufeffmark", "NFC", "mark"),
        ("half \ud83d", "NFC", "half \ufffd"),
    ],
)
def test_texts_are_normalised(raw: str, form: str, expected: str) -> None:
    assert normalize(raw, form) == expected  # type: ignore[arg-type]


def test_duplicates_fall_out_across_sources_and_everything_is_counted(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", [*sentences(30), " text number 3 about rivers ", "no", "x" * 99])
    write(tmp_path / "b.txt", [*sentences(40), ""])
    facts = read(
        CorpusSource(files=("a.txt",)), CorpusSource(files=("b.txt",)), max_characters=50, min_characters=3
    ).facts
    assert facts.texts + facts.held_out == 40
    assert (facts.duplicates, facts.too_short, facts.too_long) == (31, 2, 1)
    assert [source.read for source in facts.sources] == [33, 41]
    assert sum(source.kept for source in facts.sources) == 40


def test_facts_hold_names_and_never_paths(read: Callable[..., corpus_module.Corpus], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "a.txt", sentences(30))
    facts = read(CorpusSource(files=(f"{tmp_path}/deep/*.txt",), language="en")).facts
    assert facts.sources[0].name == "*.txt"
    assert str(tmp_path) not in facts.model_dump_json()
    assert facts.sources[0].language == "en"


def test_the_checksum_is_that_of_the_training_texts(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", sentences(30))
    corpus = read(CorpusSource(files=("a.txt",)))
    expected = hashlib.sha256(b"".join(text_hash(text) for text in corpus.train)).hexdigest()
    assert corpus.facts.sha256 == expected


def test_sources_are_mixed_by_weight(read: Callable[..., corpus_module.Corpus], tmp_path: Path) -> None:
    write(tmp_path / "a.txt", sentences(1000, "rivers"))
    write(tmp_path / "b.txt", sentences(1000, "hills"))
    corpus = read(
        CorpusSource(files=("a.txt",), weight=3), CorpusSource(files=("b.txt",), weight=1), texts=400
    )
    assert [source.kept for source in corpus.facts.sources] == [300, 100]
    share = np.mean(corpus.train.head(100).source_index == 0)
    assert 0.6 < share < 0.9


def test_a_dry_source_leaves_its_share_to_the_others(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", sentences(50, "rivers"))
    write(tmp_path / "b.txt", sentences(1000, "hills"))
    write(tmp_path / "c.txt", sentences(1000, "seas"))
    corpus = read(
        CorpusSource(files=("a.txt",), weight=8),
        CorpusSource(files=("b.txt",)),
        CorpusSource(files=("c.txt",), texts=20),
        texts=400,
    )
    assert [source.kept for source in corpus.facts.sources] == [50, 330, 20]


def test_files_of_one_source_contribute_by_their_size(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", sentences(3000, "rivers"))
    write(tmp_path / "b.txt", sentences(1000, "plains"))
    texts = everything(read(CorpusSource(files=("*.txt",)), texts=400))
    assert sum(text.endswith("rivers") for text in texts) == pytest.approx(300, abs=5)


def test_more_files_than_may_be_open_are_all_read(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    for number in range(70):
        write(tmp_path / f"{number:02}.txt", sentences(2, f"place {number}"))
    assert len(everything(read(CorpusSource(files=("*.txt",))))) == 140


def test_the_order_is_shuffled_and_repeatable(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", sentences(300))
    first = list(read(CorpusSource(files=("a.txt",)), seed=1).train)
    other = list(read(CorpusSource(files=("a.txt",)), seed=2).train)
    again = list(read(CorpusSource(files=("a.txt",)), seed=1).train)
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)
    positions = [sentences(300).index(text) for text in first[:100]]
    assert 100 < np.mean(positions) < 200


def test_a_finished_corpus_is_used_again_until_something_changes(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    source = CorpusSource(files=("a.txt",))
    write(tmp_path / "a.txt", sentences(30))
    read(source)
    written = (tmp_path / "corpus" / "corpus.json").stat().st_mtime_ns
    read(source)
    assert (tmp_path / "corpus" / "corpus.json").stat().st_mtime_ns == written
    write(tmp_path / "a.txt", sentences(31))
    assert len(everything(read(source))) == 31
    assert len(everything(read(source, texts=25))) == 25


@given(
    parts=st.lists(st.lists(st.integers(0, 200), max_size=80), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.1, 10), min_size=4, max_size=4),
    limit=st.none() | st.integers(1, 150),
    seed=st.integers(0, 3),
    share=st.sampled_from([0.1, 0.25, 0.4]),
)
def test_no_held_out_text_is_ever_trained_on(
    parts: list[list[int]], weights: list[float], limit: int | None, seed: int, share: float
) -> None:
    """Whatever the sources, their order, size and weights: a text's side is the text's own."""
    pool = sentences(201)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, part in enumerate(parts):
            write(folder / f"{number}.txt", [pool[i] for i in part])
        sources = [CorpusSource(files=(f"{i}.txt",), weight=weights[i]) for i in range(len(parts))]
        try:
            settings = corpus_of(*sources, texts=limit, held_out=share)
            corpus = read_corpus(settings, folder / "corpus", base=folder, seed=seed)
        except CorpusTooSmallError:
            return
        train, held_out = list(corpus.train), list(corpus.held_out)
    assert len({*train, *held_out}) == len(train) + len(held_out)
    limits = 2**64 * share
    assert all(int.from_bytes(text_hash(text)[:8]) < limits for text in held_out)
    assert all(int.from_bytes(text_hash(text)[:8]) >= limits for text in train)


@pytest.mark.parametrize(("held_out", "choosing"), [(1, 1), (3, 1), (40, 10), (9_000, 2_000)])
def test_what_is_chosen_by_is_not_measured_on(tmp_path: Path, held_out: int, choosing: int) -> None:
    table = TextTable(tmp_path, np.arange(held_out))
    found = Corpus(train=table, held_out=table, facts=None, labels=None)  # type: ignore[arg-type]
    assert len(found.choosing) == choosing
    assert len(found.measured) == max(1, held_out - choosing)
    assert held_out == 1 or not {*found.choosing.rows} & {*found.measured.rows}
    assert {*found.choosing.rows} | {*found.measured.rows} == {*range(held_out)}


def test_the_held_out_share_is_as_asked() -> None:
    hashes = np.frombuffer(b"".join(map(text_hash, sentences(20_000))), np.uint8).reshape(-1, 16)
    assert held_out_mask(hashes, 0.03).mean() == pytest.approx(0.03, abs=0.005)


def write_labelled(path: Path, vectors: Sequence[Sequence[float] | None]) -> None:
    rows = {"sentence": sentences(len(vectors)), "label": vectors}
    pq.write_table(pa.table(rows), path)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_label_vectors_go_with_their_texts(
    name: str, read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float16)
    if name == "a.parquet":
        write_labelled(tmp_path / name, [vector.tolist() for vector in vectors])
    else:
        rows = zip(sentences(50), vectors.tolist(), strict=True)
        write(tmp_path / name, [json.dumps({"sentence": s, "label": v}) for s, v in rows])
    write(tmp_path / "b.txt", sentences(10, "unlabelled things"))
    labels = read(CorpusSource(files=(name,), label="label"), CorpusSource(files=("b.txt",))).labels
    assert labels is not None
    assert (labels.dimension, len(labels.vectors)) == (6, 50)
    by_hash = {digest.tobytes(): vector for digest, vector in zip(labels.hashes, labels.vectors, strict=True)}
    for text, vector in zip(sentences(50), vectors, strict=True):
        assert np.array_equal(by_hash[text_hash(text)], vector)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0, 2.0], [1.0]], "a label has 1 dimensions, those before it 2"),
        ([[1.0, 2.0], [1.0, float("nan")]], "not a list of finite numbers"),
        ([[1.0, 2.0], None], "not a list of finite numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    vectors: list[list[float] | None],
    message: str,
    read: Callable[..., corpus_module.Corpus],
    tmp_path: Path,
) -> None:
    write_labelled(tmp_path / "a.parquet", vectors)
    with pytest.raises(CorpusError, match=message):
        read(CorpusSource(files=("a.parquet",), label="label"))


def test_label_vectors_that_were_written_anew_are_others(
    read: Callable[..., corpus_module.Corpus], tmp_path: Path
) -> None:
    source = CorpusSource(files=("a.parquet",), label="label")
    digests = []
    for value in (1.0, 1.0, 2.0):
        write_labelled(tmp_path / "a.parquet", [[value, 0.0]] * 50)
        labels = read(source).labels
        assert labels is not None
        assert labels.vectors[0, 0] == value
        digests.append(labels.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_label_goes_with_one_text_column(read: Callable[..., corpus_module.Corpus]) -> None:
    with pytest.raises(RecipeError, match=r"corpus\.sources\.0: `label` goes with a single text column"):
        read(CorpusSource(files=("a.parquet",), label="label", columns=("a", "b")))


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set that `datasets` opens like one of the Hub's, without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "org" / "set").mkdir(parents=True)
    table = pa.table({"id": range(3000), "sentence": sentences(3000)})
    pq.write_table(table, tmp_path / "org" / "set" / "train.parquet")
    return "org/set"


@pytest.mark.parametrize("streaming", [False, True])
def test_data_sets_are_read_whole_or_sampled(
    data_set: str, streaming: bool, read: Callable[..., corpus_module.Corpus]
) -> None:
    source = CorpusSource(dataset=data_set, streaming=streaming)
    assert everything(read(source)) == sorted(sentences(3000))
    sample = read(source, texts=200)
    positions = [int(text.split()[2]) for text in everything(sample)]
    assert len(positions) == 200
    assert 1200 < np.mean(positions) < 1800
    assert sample.facts.sources[0].hub_id == data_set


@pytest.mark.parametrize("streaming", [False, True])
def test_a_data_set_without_the_column_lists_those_there_are(data_set: str, streaming: bool) -> None:
    source = DataSource(dataset=data_set, streaming=streaming)
    with pytest.raises(MissingColumnError, match="org/set has no column 'body'; its columns: id, sentence"):
        list(read_rows(source, ["body"], base=Path()))
    assert list(read_rows(source, ["sentence", "id"], base=Path()))[7] == ("text number 7 about rivers", 7)


@pytest.mark.parametrize(("name", "split"), [("org/none", "train"), ("org/set", "dev")])
def test_a_data_set_that_is_not_there_is_named(data_set: str, name: str, split: str) -> None:
    with pytest.raises(CorpusError, match=f"cannot open the data set '{name}'.*split '{split}'"):
        list(read_rows(DataSource(dataset=name, split=split), ["text"], base=Path()))


def test_tables_select_slice_and_pickle(read: Callable[..., corpus_module.Corpus], tmp_path: Path) -> None:
    write(tmp_path / "a.txt", sentences(25_000))
    table = read(CorpusSource(files=("a.txt",))).train
    whole = list(table)
    assert len(table) == len(whole)
    assert table[3] == whole[3]
    assert table.texts(5, 9) == whole[5:9]
    assert [text for batch in table.batches(7) for text in batch] == whole
    assert list(table.head(10)) == whole[:10]
    assert list(table.select(np.array([4, 2]))) == [whole[4], whole[2]]
    assert table.hashes[11].tobytes() == text_hash(whole[11])
    assert list(pickle.loads(pickle.dumps(table)).head(5)) == whole[:5]


def test_reading_a_corpus_needs_no_torch() -> None:
    code = "import sys, hubdistill.corpus, hubdistill.embedding_cache; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
