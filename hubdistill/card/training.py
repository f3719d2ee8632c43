"""The card's training part: data, objective, settings, log, machine, and how to repeat the run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hubdistill.card.text import Markdown, bullets, code, dataset_link, escape, fenced, folded, table
from hubdistill.numbers import count, duration, layer_list, listed, memory, rate, score, share
from hubdistill.report import CorpusFacts, DistillationReport, Source, Training, TrainingLog, Value

SAMPLE_CHARACTERS = 200
LOG_ROWS = 60

_LIBRARIES = {
    "hubdistill": "hubdistill",
    "sentence-transformers": "Sentence Transformers",
    "transformers": "Transformers",
    "torch": "PyTorch",
    "accelerate": "Accelerate",
    "datasets": "Datasets",
    "tokenizers": "Tokenizers",
}


@dataclass(frozen=True)
class TrainingPart:
    """How the student was made, as the template prints it."""

    method: Markdown
    """One paragraph."""
    sources: Markdown
    """Where the texts come from; empty when the report does not say."""
    texts: Markdown
    """Sizes, what was left out, token counts."""
    samples: Markdown
    """Some training texts; empty when the recipe shows none."""
    objective: Markdown
    """Loss, its parameters, and the layers that were kept."""
    hyperparameters: Markdown
    """Those that differ from the defaults, and all of them, folded."""
    log: Markdown
    """The training log, folded; empty without one."""
    time: Markdown
    """How long it took."""


def training_part(report: DistillationReport) -> TrainingPart | None:
    """Arrange the facts of training; None when the report has none."""
    training = report.training
    if training is None:
        return None
    return TrainingPart(
        method=_method(report, training),
        sources=_sources(report.corpus),
        texts=_texts(report.corpus, training),
        samples=_samples(training),
        objective=_objective(report, training),
        hyperparameters=_hyperparameters(training),
        log=_log(training),
        time=_time(training),
    )


def environment_lines(report: DistillationReport) -> Markdown:
    """Machine and library versions."""
    machine = report.environment
    known_first = sorted(machine.libraries, key=lambda name: (name not in _LIBRARIES, name.lower()))
    ordered = [name for name in _LIBRARIES if name in machine.libraries]
    ordered += [name for name in known_first if name not in _LIBRARIES]
    versions = [f"{_LIBRARIES.get(name, name)}: {machine.libraries[name]}" for name in ordered]
    hardware = [f"Device: {machine.device}"] if machine.device != "cpu" else []
    return bullets(
        [
            *hardware,
            f"Processor: {machine.processor}, {machine.cores} cores ({machine.threads} threads used)",
            f"Memory: {memory(machine.memory_bytes)}",
            f"Platform: {machine.platform}",
            f"Seed: {machine.seed}",
            f"Python: {machine.python}",
            *versions,
        ]
    )


def _method(report: DistillationReport, training: Training) -> Markdown:
    student = report.models[report.student].architecture
    layers = report.models[report.teacher].architecture.layers
    texts = f"the teacher's vectors of {count(training.texts)} texts. No labels are used."
    trained = f"trained to give {texts}"
    if not training.teacher_vectors:
        trained = (
            f"trained with {training.loss} on {count(training.texts)} rows of the training script's data."
        )
    if training.method == "static":
        text = (
            "The student has one vector for each token; a text's vector is their mean. The token vectors are "
            f"fitted to {texts}"
        )
        if student.feed_forward:
            text = (
                "The student has one vector for each token; a text's mean of them goes through a hidden "
                "layer. The token vectors are solved for by least squares, and then trained together with "
                f"the layer, both to fit {texts}"
            )
    elif training.method == "trimmed":
        less = [("tokens", training.vocabulary), ("output dimensions", training.projection)]
        fewer = listed(f"fewer {name}" for name, fact in less if fact)
        text = f"The student is the teacher with {fewer}. Nothing was trained, and no labels are used."
    elif training.start:
        text = (
            f"The student starts as {training.start.name} and is trained, together with a linear projection "
            f"from its {training.start.dimensions} dimensions, to give {texts} {_after_training(training)}"
        )
    elif student.kept_layers is None:
        text = f"The student is {trained}"
    else:
        text = (
            f"The student starts as a copy of the teacher with {len(student.kept_layers)} of its {layers} "
            f"layers and is {trained}"
        )
    return escape(text)


def _after_training(training: Training) -> str:
    if training.teacher_space:
        return "The projection is part of the student, so that its vectors are of the teacher's space."
    return (
        "Of the projection, the student keeps only what changes similarities: its vectors have its own width "
        "and the similarities that were trained, but are not of the teacher's space."
    )


def _sources(corpus: CorpusFacts | None) -> Markdown:
    if corpus is None:
        return Markdown("The report does not say where the training texts come from.")
    rows = [
        (
            _source(source),
            Markdown(", ".join(code(column) for column in source.columns)),
            source.language or "not declared",
            f"{source.weight:g}",
            count(source.read),
            count(source.kept),
        )
        for source in corpus.sources
    ]
    return table(("Source", "Columns", "Language", "Weight", "Read", "Used"), rows, numbers_from=3)


def _source(source: Source) -> Markdown:
    where = dataset_link(source.hub_id) if source.hub_id else escape(source.name, 80)
    details = [escape(word) for word in (source.config, source.split) if word]
    if source.revision:
        details.append(code(source.revision[:12]))
    return Markdown(f"{where}<br>{', '.join(details)}" if details else where)


def _texts(corpus: CorpusFacts | None, training: Training) -> Markdown:
    unit = "Training texts" if training.teacher_vectors else "Training rows"
    lines = [f"{'Texts read' if training.loss is None else unit}: {count(training.texts)}"]
    if training.tokens:
        tokens = training.tokens
        lines.append(
            f"Tokens per text: min {count(tokens.min)}, mean {tokens.mean:.1f}, max {count(tokens.max)}"
        )
    else:
        lines.append("Tokens per text: not counted")
    if corpus:
        lines.append(f"Held out of training: {count(corpus.held_out)}")
        lines.append(
            f"Left out: {count(corpus.duplicates)} duplicates, {count(corpus.too_short)} too short, "
            f"{count(corpus.too_long)} too long"
        )
        lines.append(Markdown(f"SHA-256 over the texts' hashes: {code(corpus.sha256[:16])}"))
    return bullets(lines)


def _samples(training: Training) -> Markdown:
    if not training.samples:
        return Markdown()
    rows = [(escape(text, SAMPLE_CHARACTERS),) for text in training.samples]
    read = "Some of the texts read" if training.loss is None else "Some training texts"
    return table((read,), rows)


def _objective(report: DistillationReport, training: Training) -> Markdown:
    lines: list[str] = [_loss(training)]
    kept = report.models[report.student].architecture.kept_layers
    if training.selection is not None:
        lines.append(f"Selection: {training.selection}")
    elif kept is not None:
        lines.append(f"Selection: layers {layer_list(kept)}; the report does not say by what rule")
    if vocabulary := training.vocabulary:
        tokens, available = count(vocabulary.tokens), count(vocabulary.available)
        lines.append(
            f"Vocabulary: {tokens} of the teacher's {available} tokens, chosen by their frequency in "
            f"{count(vocabulary.texts)} texts. They make up {share(vocabulary.coverage)} of these texts' "
            f"tokens and {share(vocabulary.held_out_coverage)} of the tokens of "
            f"{count(vocabulary.held_out_texts)} held-out texts; {share(vocabulary.held_out_unchanged)} of "
            "the held-out texts need no other token"
        )
    if projection := training.projection:
        lines.append(
            f"Dimensions: {count(projection.dimensions)} of the teacher's {count(projection.available)}, a "
            f"linear projection to the principal directions of {count(projection.texts)} teacher vectors "
            f"(not centred), which has {share(projection.kept)} of their squared length"
            + _PROJECTED.get(training.method, "")
        )
    if training.matryoshka:
        sizes = listed(map(count, training.matryoshka))
        lines.append(f"Prefixes trained as well: the first {sizes} dimensions")
    return bullets(lines)


_PROJECTED = {
    "layers": "; it is the target, and trained on in the student",
    "static": "; what it gives is the target",
}


def _loss(training: Training) -> str:
    if training.loss is None:
        return "No loss: nothing was trained"
    parameters = [f"{code(name)} = {code(_value(value))}" for name, value in training.loss_parameters.items()]
    loss = f"Loss: {escape(training.loss)}"
    return Markdown(f"{loss} with {', '.join(parameters)}" if parameters else loss)


def _hyperparameters(training: Training) -> Markdown:
    if training.loss is None:
        return Markdown("None: nothing was trained.")
    text = _settings(training.hyperparameters) if training.hyperparameters else Markdown("All are defaults.")
    if training.all_hyperparameters:
        text = Markdown(f"{text}\n\n{folded('All hyperparameters', _settings(training.all_hyperparameters))}")
    return text


def _settings(settings: Mapping[str, Value]) -> Markdown:
    rows = [(code(name), code(_value(value))) for name, value in settings.items()]
    return table(("Hyperparameter", "Value"), rows)


def _value(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _log(training: Training) -> Markdown:
    if not training.log:
        return Markdown()
    columns: list[tuple[str, Callable[[TrainingLog], str]]] = [
        ("Step", lambda line: count(line.step)),
        ("Epoch", lambda line: f"{line.epoch:.2f}"),
        ("Loss", lambda line: _scored(line.loss)),
        ("Learning rate", lambda line: f"{line.learning_rate:.2e}" if line.learning_rate is not None else ""),
        ("Cosine to teacher", lambda line: _scored(line.teacher_cosine)),
        ("Precision@10", lambda line: _scored(line.precision_at_10)),
    ]
    shown = _thinned(training.log)
    rows = [[write(line) for _, write in columns] for line in shown]
    used = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    for line, row in zip(shown, rows, strict=True):
        if line.step == training.best_step:
            row[0] = Markdown(f"**{row[0]}**")
    text = table(
        [columns[index][0] for index in used],
        [[row[index] for index in used] for row in rows],
        numbers_from=0,
    )
    notes = []
    if training.best_step is not None:
        notes.append(f"The student is the checkpoint of step {count(training.best_step)}.")
    if len(shown) < len(training.log):
        notes.append(
            f"Shown: {len(shown)} of {count(len(training.log))} lines; all of them are in report.json."
        )
    return folded("Training log", Markdown(f"{text}\n\n{' '.join(notes)}".rstrip()))


def _scored(value: float | None) -> str:
    return score(value) if value is not None else ""


def _thinned(log: tuple[TrainingLog, ...]) -> list[TrainingLog]:
    """Evenly spaced lines; comparisons with the teacher stay as long as there is room."""
    if len(log) <= LOG_ROWS:
        return list(log)
    compared = [index for index, line in enumerate(log) if line.teacher_cosine is not None]
    wanted = set(compared if len(compared) <= LOG_ROWS // 2 else [])
    step = (len(log) - 1) / (LOG_ROWS - len(wanted) - 1)
    wanted.update(round(index * step) for index in range(LOG_ROWS - len(wanted)))
    return [log[index] for index in sorted(wanted)]


def _time(training: Training) -> Markdown:
    if training.method == "trimmed" and training.projection is None:
        return escape(
            f"Making the student took {duration(training.seconds)}; no teacher's vectors were needed."
        )
    teacher = (
        f"teacher's vectors: {duration(training.teacher_seconds)}"
        if training.teacher_seconds is not None
        else "the teacher's vectors are not in that time"
    )
    text = f"Making the student took {duration(training.seconds)}"
    text += f"; {teacher}." if training.teacher_vectors else "."
    if found := training.emissions:
        text += f" For the training, codecarbon estimates {rate(found.kilowatt_hours)} kWh and"
        text += f" {rate(found.grams)} g of CO2 equivalent."
    return escape(text)


def recipe_part(report: DistillationReport) -> Markdown:
    """The recipe and the command that repeats the run; empty when the report holds no recipe."""
    if report.recipe is None:
        return Markdown()
    version = shlex.quote(f"hubdistill=={report.hubdistill_version}")
    command = fenced(f"pip install {version}\nhubdistill run recipe.yaml", "bash")
    return Markdown(f"{command}\n\n{folded('recipe.yaml', fenced(report.recipe, 'yaml'))}")
