"""What data sets' own cards say goes into the report and onto the card."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_on_hub import publisher, serving
from huggingface_hub import HfApi
from sample_report import bge_m3_report

from hubdistill.card import render_card
from hubdistill.citations import citations
from hubdistill.corpus import read_corpus
from hubdistill.data_sources import DataCard, read_data_card
from hubdistill.recipe import Corpus, CorpusSource

ENTRY = "@misc{tickets2024, title = {Tickets}, year = {2024}}"


def test_licence_and_citation_of_a_data_set_reach_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "hub") as endpoint:
        publish = publisher(endpoint, tmp_path, monkeypatch)
        rows = [{"text": f"ticket number {number} is open"} for number in range(200)]
        publish("tickets", {("default", "train"): rows})
        api = HfApi(endpoint=endpoint, token="hf_demo")
        card = Path(api.hf_hub_download("demo/tickets", "README.md", repo_type="dataset")).read_text()
        text = card.replace("---\n", "---\nlicense: cc-by-4.0\n", 1) + f"\n```bibtex\n{ENTRY}\n```\n"
        changed = api.upload_file(
            path_or_fileobj=text.encode(),
            path_in_repo="README.md",
            repo_id="demo/tickets",
            repo_type="dataset",
        )
        assert read_data_card("demo/tickets", changed.oid) == DataCard("cc-by-4.0", (ENTRY,))
        assert read_data_card("demo/nothing", None) == DataCard()
        settings = Corpus(sources=(CorpusSource(dataset="demo/tickets"),))
        (source,) = read_corpus(settings, tmp_path / "corpus", base=tmp_path, seed=1).facts.sources
    assert (source.license, source.citations) == ("cc-by-4.0", (ENTRY,))


def test_they_stand_on_the_card() -> None:
    report = bge_m3_report()
    assert report.corpus is not None
    first, *others = report.corpus.sources
    known = first.model_copy(update={"license": "cc-by-4.0", "citations": (ENTRY,)})
    corpus = report.corpus.model_copy(update={"sources": (known, *others)})
    report = report.model_copy(update={"corpus": corpus})
    assert "tickets2024" in [entry.key for entry in citations(report)]
    card = render_card(report)
    assert "english-texts) | cc-by-4.0 |" in card
    assert "german-texts) | not declared |" in card
    assert ENTRY in card
