from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hubdistill import demo
from hubdistill.demo import RECIPE, TEACHER_SHA256, check_weights, copy_teacher
from hubdistill.demo_corpus import (
    Documentation,
    prose,
    read_documentation,
    split_sentences,
    write_demo_corpus,
)
from hubdistill.errors import CorpusTooSmallError, MissingExtraError, TeacherError
from hubdistill.recipe_file import load_recipe

NUMPY_STYLE = '''
def hann(m):
    """Return a Hann window.

    The Hann window is a taper formed by a raised cosine. It touches zero at
    both ends, e.g. for use with a :func:`~scipy.fft.fft` of ``x``.

    Parameters
    ----------
    m : int
        Number of points in the output window. If zero, an empty array is returned.

    Notes
    -----
    The window is named after `von Hann <https://example.org>`_, see [1]_ for more.

    .. math:: w(n) = 0.5

    .. [1] Somebody, The measurement of power spectra.

    Examples
    --------
    >>> hann(12)
    array([0., 1.])

    - This is an item of a list.

    =====  =====
    Left   Right.
    =====  =====
    """
'''


def test_prose_is_whole_sentences_without_markup_code_and_tables() -> None:
    (found,) = read_documentation(NUMPY_STYLE.encode())
    assert found == Documentation(
        "Return a Hann window.",
        (
            (
                "The Hann window is a taper formed by a raised cosine.",
                "It touches zero at both ends, e.g. for use with a scipy.fft.fft of x.",
            ),
            ("Number of points in the output window.", "If zero, an empty array is returned."),
            ("The window is named after von Hann, see for more.",),
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        "no capital at the beginning of it.",
        "No end to the sentence here",
        "Too few words.",
        "Sets x = y and a = b in place.",
        "See https://example.org for the details of it.",
        ":param x: The number of all the points.",
        ">>> Print the number of all the points.",
        "a_b c_d e_f 123 456 7.8.",
        "",
    ],
)
def test_what_is_not_prose_is_left_out(text: str) -> None:
    assert list(prose(text)) == []


def test_markdown_is_taken_off() -> None:
    assert list(prose("Read the **whole** text of [the guide](https://example.org) with `care`.")) == [
        ("Read the whole text of the guide with care.",)
    ]


def test_documentation_of_modules_classes_and_methods_is_found() -> None:
    source = b'''"""A module about many things."""
class A:
    """A class about many things."""
    def method(self):
        """A method about many things."""
        def inner():
            """Not part of the documentation at all."""
'''
    assert [found.summary for found in read_documentation(source)] == [
        "A module about many things.",
        "A class about many things.",
        "A method about many things.",
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    write_demo_corpus(folder)
    return folder


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_corpus_is_large_has_no_duplicates_and_mixes_lengths(corpus: Path) -> None:
    texts = [text for path in (corpus / "texts").iterdir() for text in _lines(path)]
    assert len(texts) > 20_000
    assert len(set(texts)) == len(texts)
    assert sum(len(text.split()) > 30 for text in texts) > len(texts) / 50


def test_no_sentence_that_is_searched_is_distilled_on(corpus: Path) -> None:
    texts = {text for path in (corpus / "texts").iterdir() for text in _lines(path)}
    documents = [json.loads(line)["text"] for line in _lines(corpus / "search/corpus.jsonl")]
    queries = [json.loads(line)["text"] for line in _lines(corpus / "search/queries.jsonl")]
    assert not texts & {*documents, *queries}
    assert not texts & {sentence for document in documents for sentence in split_sentences(document)}


def test_every_query_has_one_document_and_every_document_one_query(corpus: Path) -> None:
    header, *judgements = _lines(corpus / "search/qrels.tsv")
    assert header == "query-id\tcorpus-id\tscore"
    documents = _lines(corpus / "search/corpus.jsonl")
    assert len(judgements) == len(documents) == len(_lines(corpus / "search/queries.jsonl")) > 300
    assert len({json.loads(line)["text"] for line in documents}) == len(documents)


def test_a_second_call_keeps_what_is_there(corpus: Path) -> None:
    names = sorted(f"texts/{path.name}" for path in (corpus / "texts").iterdir())
    before = (corpus / "texts").stat().st_mtime_ns
    assert write_demo_corpus(corpus) == names
    assert (corpus / "texts").stat().st_mtime_ns == before


def test_packages_are_read_but_not_imported() -> None:
    code = (
        "import sys, tempfile, pathlib\n"
        "from hubdistill import demo_corpus\n"
        "demo_corpus.PACKAGES, demo_corpus.FEWEST = {'numpy': 'numpy'}, 1\n"
        "demo_corpus.write_demo_corpus(pathlib.Path(tempfile.mkdtemp()) / 'corpus')\n"
        "print([n for n in ('numpy', 'scipy', 'pandas', 'sklearn', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_too_little_prose_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubdistill.demo_corpus.PACKAGES", {"typer": "typer"})
    with pytest.raises(CorpusTooSmallError, match=r"hubdistill\[demo\]"):
        write_demo_corpus(tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def test_weights_with_another_digest_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    check_weights(path, hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(TeacherError, match=TEACHER_SHA256):
        check_weights(path)
    with pytest.raises(TeacherError, match="has no other"):
        check_weights(tmp_path / "other.safetensors")


def test_an_unproven_teacher_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise TeacherError("not the published ones")

    monkeypatch.setattr(demo, "check_weights", refuse)
    with pytest.raises(TeacherError):
        copy_teacher(tmp_path / "teacher")
    assert list(tmp_path.iterdir()) == []


def test_the_packaged_teacher_is_the_published_one(tmp_path: Path) -> None:
    copy_teacher(tmp_path / "teacher")
    check_weights(tmp_path / "teacher" / "model.safetensors")
    assert (tmp_path / "teacher" / "modules.json").exists()


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TEACHER_PACKAGE", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"hubdistill\[demo\]"):
        copy_teacher(tmp_path / "teacher")


def test_the_recipe_is_valid_and_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(files="corpus/texts/a.txt, corpus/texts/b.txt"), encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.corpus.sources[0].files == ("corpus/texts/a.txt", "corpus/texts/b.txt")
    assert not Path(recipe.teacher.model).is_absolute()
    assert {student.kind for student in recipe.students} == {"static", "layers"}
