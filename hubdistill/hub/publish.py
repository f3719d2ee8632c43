"""The push: one commit of model, card, figures and report, or none when nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi

from hubdistill.card.foreign import refuse_other_weights
from hubdistill.errors import PublishError
from hubdistill.hub.access import Preflight, client, preflight, secret
from hubdistill.hub.card_on_hub import address_card, refuse_invalid_card, validate_on_hub
from hubdistill.hub.collection import put_into
from hubdistill.hub.failures import explained
from hubdistill.hub.files import CARD, select
from hubdistill.hub.gates import parse_gates
from hubdistill.hub.landing import Commit, Prepared, Wish, land, prepare
from hubdistill.hub.load_back import TOLERANCE, compare_with_hub
from hubdistill.hub.local import LocalFile, read_files
from hubdistill.hub.outcome import PushOutcome
from hubdistill.hub.plan import differences, read_tree
from hubdistill.hub.references import put_tag
from hubdistill.hub.retry import Progress, patiently
from hubdistill.model_files import weights_digest
from hubdistill.report import FILE_NAME, DistillationReport, load_report, parse_report
from hubdistill.results import student_model


def push(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    create_pr: bool = False,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    tag: str | None = None,
    collection: str | None = None,
    collection_note: str | None = None,
    dry_run: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    gates: Sequence[str] = (),
    load_back: bool = True,
    force: bool = False,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> PushOutcome:
    """Publish a model folder with its card in one commit.

    The folder is read, hashed and scanned first; nothing is sent when something in it must not travel. The
    repository and the branch are made when they are missing. Files that are on the Hub already are not in
    the commit, and without any difference there is no commit. What an earlier version of the model left
    there is deleted in the same commit; files of the owner are left alone. Sections of the card between
    `hubdistill:keep` markers are taken from the Hub's card; what else was edited there stops the push. A card
    that was written before anyone knew where it goes gets the repository's id.

    Then the commit is read back and its files are compared with what was sent. Where it changes the model,
    the model is loaded from the Hub, in a process of its own with an empty cache, and its vectors of a few
    texts are compared with those of the folder's; only then come the tag and the collection.

    Args:
        folder: a model saved by sentence-transformers, with README.md.
        repo_id: namespace/name, or a name in the user's own namespace.
        token: a Hub token; by default the one of HF_TOKEN, `hf auth login` or a trusted publisher.
        private: make a new repository private, or (False) public; the namespace's default when left out.
        create_pr: open a pull request instead of committing to main.
        revision: branch to commit to; made from main when it is missing.
        commit_message: the first line is the commit's title.
        commit_description: the commit's text.
        tag: put on the commit. A tag that is already on this very commit is fine.
        collection: title or slug of a collection that the model goes into. A title that the model's namespace
            has none of is made, private as the repository is.
        collection_note: stands beside the model in the collection.
        dry_run: find out what would happen, and send nothing. The outcome has the difference of the cards.
        include: glob patterns as of `hf upload`; only what matches one of them travels.
        exclude: glob patterns; what matches one of them stays behind.
        gates: conditions on report.json, such as `spearman_cosine@stsb-test >= 0.95*teacher` or
            `no_regression` (against the report that is on the Hub); unless all are met, nothing is pushed.
            On a dry run the outcome has their verdicts. See `hubdistill.conditions`.
        load_back: load the model from the Hub after the commit.
        force: replace what was edited on the Hub's card by what the folder's card says.
        endpoint: the Hub's address; HF_ENDPOINT by default.
        progress: called with a short sentence at each step.

    Raises:
        PublishError: the folder is not a model with a card, the Hub refuses, or what was published does not
            load or gives other vectors; nothing was committed unless the message says so.
        LeakError: a secret or a private path would have been published.
        GateError: a gate is not met, or cannot be judged.
        ReportError: report.json cannot be read, or is of other weights than the folder's.
        CardError: the card's metadata is not valid, or the push would undo what was edited on the Hub.
        NoTokenError: no token, or one that the Hub does not know.
        NotYourRepositoryError: the token may not write there.
        StaleParentError: others kept committing at the same time.
    """
    tell = progress or (lambda _: None)
    folder = Path(folder)
    conditions = parse_gates(gates)
    selection = select(folder, include=include, exclude=exclude)
    api = client(token, endpoint)
    name = repo_id.rpartition("/")[2]
    title, _, rest = (commit_message or f"Publish {name} with hubdistill").strip().partition("\n")
    description = "\n\n".join(part.strip() for part in (rest, commit_description or "") if part.strip())
    tell(f"reading {len(selection.files)} files")
    said = "\n".join(filter(None, (title, description, tag, revision, collection, collection_note)))
    local = read_files(selection, message=said, known=(secret(api),))
    if CARD in local:
        refuse_invalid_card(local[CARD])
    report = _report(folder, local, gated=bool(conditions))
    if report:
        _refuse_other_weights(report, local, folder)
    wish = Wish(
        selection=selection,
        local=local,
        title=title,
        description=description,
        create_pr=create_pr,
        private=private,
        tag=tag,
        include=include,
        exclude=exclude,
        report=report,
        gates=conditions,
        load_back=load_back,
        force=force,
    )
    place = preflight(
        repo_id,
        token=secret(api),
        private=private,
        revision=revision,
        create_pr=create_pr,
        tag=tag,
        collection=collection,
        collection_note=collection_note,
        endpoint=endpoint,
        progress=progress,
    )
    if wish.report and CARD in local:
        card = address_card(local[CARD], wish.report, place.repo_id)
        wish = replace(wish, local={**local, CARD: card})
    with explained(f"pushing to {place.repo_id}", endpoint=api.endpoint, token=secret(api)):
        warned = patiently(lambda: _validate_card(api, wish), tell)
        if dry_run:
            prepared = patiently(lambda: prepare(api, place, wish), tell)
            outcome = _outcome(place, wish, prepared, warned)
            return replace(
                outcome,
                dry_run=True,
                card_diff=prepared.card_diff,
                conflict=prepared.conflict,
            )
        prepared, commit = land(api, place, wish, tell)
    outcome = _outcome(place, wish, prepared, warned)
    if commit is None:
        tell("nothing changed, so there is no commit")
    else:
        tell(f"committed {commit.oid}")
        outcome = replace(
            outcome,
            commit=commit.oid,
            commit_url=f"{place.url}/commit/{commit.oid}",
            revision=commit.revision,
            pull_request_url=commit.pull_request_url,
        )
        _read_back(api, place, prepared, commit, tell)
        if prepared.load_back:
            tell("loading the model from the Hub, to compare its vectors with those here")
            difference, note = _load_back(api, place, wish, commit, folder)
            outcome = replace(outcome, load_back=difference, notes=(*outcome.notes, *note))
    return _mark(api, place, wish, outcome, prepared.plan.parent, collection_note, tell)


def _report(folder: Path, local: Mapping[str, LocalFile], *, gated: bool) -> DistillationReport | None:
    """The report as it is sent, or that of the folder where it stays behind and gates ask for it."""
    if FILE_NAME in local:
        content = local[FILE_NAME].source
        assert isinstance(content, bytes)
        return parse_report(content, name=str(folder / FILE_NAME))
    return load_report(folder) if gated else None


def _refuse_other_weights(report: DistillationReport, local: Mapping[str, LocalFile], folder: Path) -> None:
    """Insist that a report is of the weights beside it; one of a model on the Hub names none."""
    weights = sorted((path for path in local if path.endswith(".safetensors")), key=PurePosixPath)
    recorded = student_model(report).revision
    if not weights or not recorded.startswith("sha256:"):
        return
    # These hashes are known already; the folder's own may count more, such as a second format.
    if recorded != weights_digest([local[path].sha256 for path in weights]):
        refuse_other_weights(report, folder)


def _read_back(api: HfApi, place: Preflight, prepared: Prepared, commit: Commit, tell: Progress) -> None:
    done = f"{place.repo_id} is at commit {commit.oid}, but"
    with explained(f"{done} reading it back failed", endpoint=api.endpoint, token=secret(api)):
        tree = patiently(lambda: read_tree(api, place.repo_id, commit.oid), tell)
    if wrong := differences(prepared.plan, tree):
        raise PublishError(f"{done} these files are not what was sent: {', '.join(wrong)}; push again")


def _load_back(
    api: HfApi, place: Preflight, wish: Wish, commit: Commit, folder: Path
) -> tuple[float, tuple[str, ...]]:
    """How far the Hub's vectors are from the folder's, and what to say about it."""
    try:
        found = compare_with_hub(place.repo_id, commit.oid, folder, secret(api), api.endpoint)
    except PublishError as error:
        raise PublishError(f"the commit has landed, but {error}; mend the folder and push again") from error
    if found.same:
        return found.difference, ()
    apart = f"its vectors differ from the folder's by up to {found.difference:.2g}"
    if wish.partial:
        why = "--include or --exclude left files of the model behind, and those on the Hub are others"
        return found.difference, (f"Loaded back from the Hub, {apart}: {why}.",)
    raise PublishError(
        f"{place.repo_id} is at commit {commit.oid}, but loaded back {apart}, more than the {TOLERANCE:g} "
        "that rounding explains; see whether something changed the folder meanwhile and push again, or look "
        f"again with `hubdistill verify {place.repo_id}@{commit.oid} --quick`"
    )


def _mark(
    api: HfApi,
    place: Preflight,
    wish: Wish,
    outcome: PushOutcome,
    parent: str | None,
    note: str | None,
    tell: Progress,
) -> PushOutcome:
    """Tag what is published, and put it into its collection. Both may be done twice."""
    target = outcome.commit or parent
    done = f"{place.repo_id} is at commit {target}, but"
    if wish.tag and target:
        tag = wish.tag
        with explained(f"{done} tagging it failed", endpoint=api.endpoint, token=secret(api)):
            patiently(lambda: put_tag(api, place, tag, target), tell)
    if place.collection:
        collection = place.collection
        with explained(
            f"{done} putting it into the collection '{collection.title}' failed",
            endpoint=api.endpoint,
            token=secret(api),
        ):
            put = patiently(lambda: put_into(api, collection, place.repo_id, note=note), tell)
        outcome = replace(outcome, collection=put)
    return outcome


def _validate_card(api: HfApi, wish: Wish) -> tuple[str, ...]:
    return validate_on_hub(api, wish.local[CARD]) if CARD in wish.local else ()


def _outcome(place: Preflight, wish: Wish, prepared: Prepared, warned: tuple[str, ...]) -> PushOutcome:
    return PushOutcome(
        repo_id=place.repo_id,
        url=place.url,
        commit=None,
        commit_url=None,
        pull_request_url=None,
        revision=place.revision,
        tag=wish.tag,
        files=prepared.plan.files,
        left_out=wish.selection.left_out,
        created=not place.exists,
        branch_created=prepared.new_branch,
        dry_run=False,
        gates=prepared.gates,
        notes=prepared.notes + warned,
        collection=place.collection,
    )
