"""Everything the card's templates print, made from the report.

The fields of `CardView` are the variables of a template; each value is Markdown, ready to print.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubdistill.card.agreement import weakest_slices
from hubdistill.card.claim import claim, glance, model_name
from hubdistill.card.evaluation import EvaluationPart, evaluation_part
from hubdistill.card.inputs import prompt_table
from hubdistill.card.metadata import front_matter, language_list, languages, license_id
from hubdistill.card.provenance import provenance_part
from hubdistill.card.quick_start import QuickStartPart, quick_start_part
from hubdistill.card.text import (
    HUB,
    Markdown,
    bullets,
    dataset_link,
    escape,
    fenced,
    folded,
    link,
    model_link,
    table,
)
from hubdistill.card.training import TrainingPart, environment_lines, recipe_part, training_part
from hubdistill.card.verify import verify_part
from hubdistill.citations import citations
from hubdistill.figures import NAMES, Figure
from hubdistill.numbers import count, layer_list, share, short_count, size
from hubdistill.report import Architecture, DistillationReport, Model
from hubdistill.results import (
    headline_results,
    known,
    layers_of,
    student_model,
    teacher_model,
    unique,
)

NONE = "\N{EM DASH}"


@dataclass(frozen=True)
class OwnerPart:
    """What the owner says in the recipe's `card:`, as it was written; empty where nothing was."""

    summary: Markdown
    """Stands below the claim."""
    motivation: Markdown
    """Why the model was made."""
    intended_use: Markdown
    """Stands above what was drafted from the facts; so do the limitations."""
    limitations: Markdown
    """What the owner knows that no figure says."""


@dataclass(frozen=True)
class ArchitecturePart:
    """What student and teacher are made of."""

    table: Markdown
    """Teacher and student side by side."""
    prompts: Markdown
    """The student's own, in a table; empty where it has none."""
    dump: Markdown
    """Both module trees, folded."""


@dataclass(frozen=True)
class UsePart:
    """What the student is for and what not, drafted from the facts."""

    intended: Markdown
    """What it is for, a list."""
    out_of_scope: Markdown
    """What it is not for, a list."""
    limitations: Markdown
    """What it inherits, cuts off and loses, a list."""


@dataclass(frozen=True)
class CardView:
    """The variables of a card template."""

    metadata: Markdown
    """YAML front matter without its `---` lines."""
    hubdistill_version: str
    """The version that wrote the report."""
    name: str
    """The repository's name, or the student's."""
    title: Markdown
    """The owner's title, or the name."""
    claim: Markdown
    """One paragraph: origin, quality kept, speed gained."""
    glance: Markdown
    """The few numbers to compare first."""
    owner: OwnerPart
    figures: dict[str, Markdown]
    """Images by name, as in `hubdistill.figures.TITLES`; empty where there is none."""
    quick_start: QuickStartPart
    description: Markdown
    """Type, base model, teacher, dimensions, ... as a list."""
    architecture: ArchitecturePart
    evaluation: EvaluationPart
    verify: Markdown
    """The command that measures the figures again; empty when the report does not say how."""
    training: TrainingPart | None
    """None when the report says nothing about training."""
    environment: Markdown
    """Machine and library versions."""
    repeat: Markdown
    """The command that repeats the run, and its recipe; empty without a recipe."""
    use: UsePart
    provenance: Markdown
    """Licences and revisions."""
    citations: Markdown
    """BibTeX."""


def card_view(
    report: DistillationReport, *, repo_id: str | None = None, figures: Sequence[Figure] = ()
) -> CardView:
    """Make everything that a card prints.

    Args:
        repo_id: where the student is published; its name stands in the snippet without one.

    Raises:
        CardError: a fact that the card needs is missing, or the metadata would be refused.
    """
    student = student_model(report)
    name = repo_id.rpartition("/")[2] if repo_id else student.name
    images = {figure.name: _image(figure) for figure in figures}
    return CardView(
        metadata=front_matter(report, repo_id),
        hubdistill_version=escape(report.hubdistill_version),
        name=escape(name),
        title=escape(report.owner.title or name),
        claim=claim(report, name),
        glance=glance(report),
        owner=_owner(report),
        figures={name: images.get(name, Markdown()) for name in NAMES},
        quick_start=quick_start_part(report, repo_id or student.name),
        description=_description(report),
        architecture=_architecture(report),
        evaluation=evaluation_part(report),
        verify=verify_part(report, repo_id or student.name),
        training=training_part(report),
        environment=environment_lines(report),
        repeat=recipe_part(report),
        use=_use(report),
        provenance=provenance_part([report]),
        citations=fenced("\n\n".join(entry.text for entry in citations(report)), "bibtex"),
    )


def _image(figure: Figure) -> Markdown:
    return Markdown(f"![{escape(figure.alt)}]({figure.path})")


def _owner(report: DistillationReport) -> OwnerPart:
    owner = report.owner
    return OwnerPart(
        summary=Markdown((owner.summary or "").strip()),
        motivation=Markdown((owner.motivation or "").strip()),
        intended_use=Markdown((owner.intended_use or "").strip()),
        limitations=Markdown((owner.limitations or "").strip()),
    )


def _description(report: DistillationReport) -> Markdown:
    student, teacher = student_model(report), teacher_model(report)
    made = student.architecture
    if made.kind == "static":
        kind = "static embedding model"
    else:
        kind = f"sentence transformer ({escape(made.family)})"
    training = report.training
    lines = [f"**Model type:** {kind}"]
    if training:
        base = model_link(report.base_model) if report.base_model else "not on the Hub"
        lines += [f"**Teacher:** {model_name(teacher)}", f"**Base model:** {base}"]
    else:
        lines.append(f"**Compared with:** {model_name(teacher)}, called the teacher on this card")
    if made.kept_layers is not None:
        lines.append(
            f"**Layers:** {made.layers} of the teacher's {teacher.architecture.layers}: "
            f"{layer_list(made.kept_layers)} (counted from 0)"
        )
    if training and training.start and not training.start.hub_id:
        lines.append(f"**Starts from:** {escape(training.start.name)}")
    if training and training.vocabulary:
        kept, available = training.vocabulary.tokens, training.vocabulary.available
        lines.append(f"**Vocabulary:** {count(kept)} of the teacher's {count(available)} tokens")
    theirs = short_count(teacher.architecture.parameters)
    lines += [
        f"**Parameters:** {short_count(made.parameters)} (teacher: {theirs})",
    ]
    if made.max_length:
        lines.append(f"**Maximum length:** {count(made.max_length)} tokens")
    lines += [
        f"**Output dimensions:** {_dimensions(report)}",
        f"**Similarity function:** {escape(made.similarity)}",
    ]
    if found := languages(report):
        lines.append(f"**Languages:** {escape(language_list(found))}")
    if report.corpus and (hub_ids := unique(s.hub_id for s in report.corpus.sources if s.hub_id)):
        lines.append(f"**Training data sets:** {', '.join(dataset_link(hub_id) for hub_id in hub_ids)}")
    lines.append(f"**Licence:** {escape(license_id(report))}")
    return bullets(Markdown(line) for line in lines)


def _dimensions(report: DistillationReport) -> str:
    ours, theirs = (model(report).architecture.dimensions for model in (student_model, teacher_model))
    text = count(ours) if ours == theirs else f"{count(ours)} (teacher: {count(theirs)})"
    if report.training and report.training.matryoshka:
        text += f", can be cut to {' or '.join(map(count, report.training.matryoshka))}"
    return text


def _architecture(report: DistillationReport) -> ArchitecturePart:
    student, teacher = student_model(report), teacher_model(report)
    theirs, ours = _anatomy(report.teacher, teacher), _anatomy(report.student, student)
    rows = [(name, theirs.get(name, NONE), ours.get(name, NONE)) for name in unique([*theirs, *ours])]
    dumps = Markdown(
        f"Student:\n\n{fenced(student.architecture.dump)}\n\nTeacher:\n\n{fenced(teacher.architecture.dump)}"
    )
    return ArchitecturePart(
        table=table(("", "Teacher", "Student"), rows, numbers_from=1),
        prompts=prompt_table(student.architecture.prompts),
        dump=folded("Full architecture", dumps),
    )


def _anatomy(key: str, model: Model) -> dict[str, str]:
    made = model.architecture
    parts: dict[str, str] = {"Type": made.family, "Layers": str(layers_of(made)) if layers_of(made) else NONE}
    if made.kept_layers is not None:
        parts["Layers"] += f" ({layer_list(made.kept_layers)})"
    if made.kind == "transformer":
        place = f"models.{key}.architecture"
        parts |= {
            "Hidden size": count(made.hidden_size),
            "Attention heads": count(known(made.attention_heads, f"{place}.attention_heads")),
            "Feed-forward size": count(known(made.feed_forward, f"{place}.feed_forward")),
            "Positions": count(made.positions) if made.positions else NONE,
            "Maximum length": f"{count(made.max_length)} tokens" if made.max_length else NONE,
        }
    elif made.feed_forward:
        parts["Hidden layer"] = count(made.feed_forward)
    return parts | {
        "Vocabulary": count(made.vocabulary),
        "Output dimensions": count(made.dimensions),
        "Pooling": _pooling(made),
        "Parameters": short_count(made.parameters),
        "of these, embeddings": short_count(made.embedding_parameters),
        "of these, the rest": short_count(made.parameters - made.embedding_parameters),
        "Size on disk": size(model.bytes),
    }


def _pooling(made: Architecture) -> str:
    return f"{made.pooling}, unit length" if made.normalized else made.pooling


def _use(report: DistillationReport) -> UsePart:
    student, teacher = student_model(report), teacher_model(report)
    made = student.architecture
    spoken = languages(report)
    intended = ["Semantic search, clustering, duplicate detection and similarity of texts"]
    intended[0] += f" in {language_list(spoken)}." if spoken else "."
    if report.training:
        intended.append(
            "Places where the teacher is too slow or too large; where its quality counts more, use "
            "the teacher."
        )
    scope = ["Decisions about people, or other high-stakes decisions, on the strength of a similarity alone."]
    if spoken:
        scope.append(f"Texts in languages other than {language_list(spoken)}, unless you measure them first.")
    scope.append("Generating text: the model gives vectors only.")
    if made.dimensions != teacher.architecture.dimensions:
        scope.append("An index built with the teacher: the vectors differ in width.")
    elif report.training and report.training.teacher_space is False:
        scope.append("An index built with the teacher: the vectors are of another space.")
    return UsePart(bullets(intended), bullets(scope), bullets(_limits(report)))


def _limits(report: DistillationReport) -> list[str]:
    student, teacher = student_model(report), teacher_model(report)
    made, training = student.architecture, report.training
    limits: list[str] = []
    if training:
        learned = "is cut" if training.method == "trimmed" else "learned"
        origin = f"It {learned} from {model_name(teacher)} and inherits the teacher's mistakes and biases."
        if teacher.limitations and teacher.hub_id:
            where = link(teacher.limitations, f"{HUB}/{teacher.hub_id}")
            origin += f" See {where} on the teacher's own card."
        limits.append(Markdown(origin))
    if training and training.start:
        limits.append(f"It may also have those of the model that it starts from, {training.start.name}.")
    if made.kind == "static":
        limits.append(
            f"It knows {'no word order' if made.feed_forward else 'neither word order nor context'}: "
            "'dog bites man' and 'man bites dog' are the same to it."
        )
    elif made.max_length:
        limits.append(f"What comes after {count(made.max_length)} tokens is cut off.")
    if training and training.vocabulary:
        unchanged = share(training.vocabulary.held_out_unchanged)
        limits.append(
            "It reads words whose tokens it lacks in smaller pieces, or not at all, so texts in other "
            "languages, scripts and subjects than those it was cut for suffer. Of held-out texts, "
            f"{unchanged} are read as the teacher reads them."
        )
    if training and training.tokens:
        tokens = training.tokens
        limits.append(
            f"Training texts had {count(tokens.min)} to {count(tokens.max)} tokens (mean {tokens.mean:.1f}); "
            "on much longer texts it may lose more than the figures here say."
        )
    if report.corpus:
        seen = unique(source.language for source in report.corpus.sources if source.language)
        if seen:
            texts = "The texts read" if training and training.loss is None else "Training texts"
            limits.append(f"{texts} were in {language_list(seen)}; other languages may have suffered.")
        else:
            limits.append("The languages of the training texts were not declared.")
    compared = ((r.comparison, r.data.title) for r in headline_results(report) if r.comparison)
    losses = [(c.kept, title) for c, title in compared if c.decided and c.difference < 0]
    if len(losses) > 1:
        kept, title = min(losses)
        limits.append(f"It loses most on {title}: it keeps {share(kept)} of the teacher's score.")
    limits += weakest_slices(report)
    if teacher.trust_remote_code:
        limits.append(
            "The teacher runs code of its own (trust_remote_code); it was run to "
            + ("make this student." if training else "compare the two.")
        )
    return limits
