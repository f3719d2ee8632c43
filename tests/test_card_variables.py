"""What `hubdistill card --variables` says is what a template can use."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sample_report import bge_m3_report, compared_report

from hubdistill.card import render_card
from hubdistill.card.templates import FAMILY, STUDENT, templates_folder
from hubdistill.card.variables import FILTERS, Variable, template_contexts
from hubdistill.errors import CardError
from hubdistill.report import report_schema

CONTEXTS = {context.template: context for context in template_contexts()}
VARIABLES = {variable.name: variable for variable in CONTEXTS[STUDENT].variables}


@pytest.mark.parametrize("template", [STUDENT, FAMILY])
def test_every_variable_of_a_card_says_what_it_is(template: str) -> None:
    silent = [
        v.name for v in CONTEXTS[template].variables if not v.about and not v.name.startswith("report.")
    ]
    assert silent == []


def test_parts_are_unfolded() -> None:
    assert VARIABLES["title"].type == "Markdown"
    assert VARIABLES["evaluation.similarity"].about.startswith("Correlation with reference similarities")
    assert VARIABLES["training"].type == "object or none"
    assert VARIABLES["report.models[*].architecture.kept_layers"] == Variable(
        "report.models[*].architecture.kept_layers",
        "list of integer or none",
        "The teacher's layers that a layer-reduced student keeps, counted from 0.",
    )
    assert VARIABLES["report.training.hyperparameters"].type == "value by name"
    assert VARIABLES["report.models[*].role"].type == "teacher | student"


def test_every_field_of_the_report_is_there() -> None:
    definitions = report_schema()["$defs"]
    names = {name.rpartition(".")[2] for name in VARIABLES}
    for title in ("Measurement", "Architecture", "Training", "EvaluationPlan", "Card"):
        assert names >= definitions[title]["properties"].keys()


def test_every_block_can_be_overridden(tmp_path: Path) -> None:
    template = tmp_path / "mine.md.j2"
    for block in CONTEXTS[STUDENT].blocks:
        template.write_text(f'{{% extends "{STUDENT}" %}}{{% block {block} %}}MINE{{% endblock %}}')
        assert "MINE" in render_card(bge_m3_report(), template=template)


def test_every_variable_can_be_printed(tmp_path: Path) -> None:
    template = tmp_path / "mine.md.j2"
    names = [name for name in VARIABLES if not name.startswith("report.")]
    lines = "\n".join(f"<{name}>{{{{ {name} }}}}" for name in names)
    template.write_text(f'{{% extends "{STUDENT}" %}}{{% block notes %}}{lines}{{% endblock %}}')
    card = render_card(bge_m3_report(), template=template)
    assert all(f"<{name}>" in card for name in names)


def test_template_of_one_s_own_uses_variables_and_filters(tmp_path: Path) -> None:
    template = tmp_path / "mine.md.j2"
    template.write_text(
        f'{{% extends "{STUDENT}" %}}\n'
        "{% block provenance %}{{ super() }}\n"
        "Kept: {{ report.models[report.student].architecture.kept_layers | join(', ') | code }}\n"
        "{{ report.recipe | fenced('yaml') }}\n{% endblock %}\n"
    )
    card = render_card(bge_m3_report(), template=template)
    part = card.split("## Licence and provenance")[1].split("## Citation")[0]
    assert "Kept: `0, 1, 2, 3, 20, 21, 22, 23`" in part
    assert "```yaml\nname: example\n" in part
    assert set(FILTERS) == {"code", "fenced"}


@pytest.mark.parametrize("name", ["nonsense", "evaluation.nonsense", "report.owner.nonsense"])
def test_unknown_variable_is_named_and_the_way_to_the_others_shown(tmp_path: Path, name: str) -> None:
    template = tmp_path / "mine.md.j2"
    template.write_text(f'{{% extends "{STUDENT}" %}}{{% block title %}}{{{{ {name} }}}}{{% endblock %}}')
    with pytest.raises(CardError, match=r"nonsense.*`hubdistill card --variables`"):
        render_card(compared_report(), template=template)


def test_blocks_are_those_of_the_files() -> None:
    source = (templates_folder() / STUDENT).read_text(encoding="utf-8")
    assert all(f"{{% block {name} %}}" in source for name in CONTEXTS[STUDENT].blocks)
    assert len(CONTEXTS[STUDENT].blocks) == source.count("{% block ")


def test_machines_get_them_as_json_without_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from hubdistill.cli import app; "
        "print(CliRunner().invoke(app, ['card', '--variables', '--format', 'json']).stdout); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert [one["template"] for one in found["templates"]] == [STUDENT, FAMILY]
    assert found["templates"][0]["variables"][0] == {
        "name": "metadata",
        "type": "Markdown",
        "about": "YAML front matter without its `---` lines.",
    }


def test_template_of_the_documentation_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "card.md").read_text(encoding="utf-8")
    template = tmp_path / "mine.md.j2"
    template.write_text(page.split("```jinja\n")[1].split("```")[0])
    card = render_card(bge_m3_report(), template=template)
    assert re.search(r"fit on a laptop: 366\d{6} parameters,", card)
    assert "Questions: search@example.org" in card
