"""HubDistillCallback: proof, card and push for a plain SentenceTransformerTrainer script."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from transformers import TrainerCallback

from hubdistill import atomic, recipe
from hubdistill.card import check_owner, write_card
from hubdistill.errors import HubDistillError, LeakError, TrainingError
from hubdistill.evaluation import check_held_out, check_sets
from hubdistill.evaluation.held_out import HeldOut
from hubdistill.gate_check import check_gates
from hubdistill.hub import preflight, push, refuse_foreign_card
from hubdistill.models import locate
from hubdistill.recipe_file import describe
from hubdistill.reporting import Subject, settle_owner, write_reports
from hubdistill.saving import COMPARED_TEXTS, check_saved, prepare_folder, save_student
from hubdistill.script_checks import (
    held_out_texts,
    refuse_lost_base,
    refuse_other_kinds,
    refuse_other_layers,
    teacher_settings,
)
from hubdistill.teacher import load_teacher
from hubdistill.trainer import MONITORED_TEXTS, SpentSeconds, TeacherAgreement
from hubdistill.trainer_facts import refuse_uncollected, training_facts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from hubdistill.hub import PushOutcome

logger = logging.getLogger(__name__)

FACTS = ("report.json", "recipe.yaml", "figures/", ".eval_results/")
"""What the final push writes beside model and card."""


class HubDistillCallback(TrainerCallback):
    """Compare the student with its teacher while it trains; at the end evaluate, write the card and push.

    Before the first step the token, the repository, the licence and the teacher are checked. At every
    evaluation `eval_teacher_cosine` is added to the metrics, so `metric_for_best_model` can name it. When
    training ends, `args.output_dir` holds the model (the best one with `load_best_model_at_end`), its
    report.json, figures and README.md, and one commit brings just these to the Hub. Other files stay there;
    a README.md that hubdistill did not write is kept as README.old-1.md.

    List callbacks that read `eval_teacher_cosine` (`EarlyStoppingCallback`) after this one. Trackers that
    `args.report_to` names come before it; for them to log the cosine, set `report_to="none"` and list their
    callbacks (`TensorBoardCallback()`) after this one as well. In `hyperparameter_search` the trials get the
    cosine and nothing else: nothing is evaluated at their ends, written or pushed.

    The callback is the only author of README.md, also of the checkpoints', and takes over the Trainer's
    own pushes: what `args.push_to_hub` and `args.hub_strategy` ask for is pushed without
    training_args.bin, which holds the Hub token in plain text. Checkpoints are not pushed where the final
    push has to meet gates or opens a pull request.

    Args:
        teacher: a Hub id, a local folder, or `hubdistill.recipe.Teacher` for more to say about it. If it has
            a prompt, that is put before the student's texts as well: train with it (`args.prompts`).
        repo_id: where the student goes: `namespace/name`.
        held_out: texts that the student is not trained on, a few hundred at least. The first of them
            (`evaluation.held_out_texts`) are measured on, the last 1,000 compared during training: give 3,000
            to keep them apart where the best checkpoint is chosen by `eval_teacher_cosine`.
        layers: the teacher's layers that the student keeps, counted from 0, for the card: as many as it has.
        evaluation: what to measure at the end.
        card: what you say on the card.
        private: create the repository as private, or (False) public.
        create_pr: open a pull request instead of committing to the branch.
        revision: branch to commit to.
        tag: tag the published commit.
        collection: title or slug of a collection that the model goes into; a title that there is none of is
            made.
        gates: conditions on the report, such as `spearman_cosine@stsb-test >= 0.95*teacher` or
            `no_regression`; unless all are met, the model is not pushed. See `hubdistill.conditions`.
        token: Hub token; `args.hub_token`, HF_TOKEN or the one of `hf auth login` when left out.
        push: set to False to stop before the push.
        force: replace what somebody wrote or edited on the Hub's card.

    Example:
        ```python
        trainer = SentenceTransformerTrainer(
            model=student,
            args=args,
            train_dataset=train,
            loss=losses.MSELoss(student),
            callbacks=[HubDistillCallback("BAAI/bge-m3", "me/bge-m3-8-layers", held_out=texts)],
        )
        trainer.train()
        ```
    """

    def __init__(
        self,
        teacher: str | os.PathLike[str] | recipe.Teacher,
        repo_id: str,
        *,
        held_out: Sequence[str],
        layers: Sequence[int] | None = None,
        evaluation: recipe.Evaluation | None = None,
        card: recipe.Card | None = None,
        private: bool | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        tag: str | None = None,
        collection: str | None = None,
        gates: Sequence[str] = (),
        token: str | None = None,
        push: bool = True,
        force: bool = False,
    ) -> None:
        self.teacher_settings = teacher_settings(teacher)
        self.repo_id = repo_id
        self.held_out = held_out_texts(held_out)
        self.layers = tuple(layers) if layers is not None else None
        self.evaluation = evaluation or recipe.Evaluation()
        self.owner = card or recipe.Card()
        self.destination: dict[str, Any] = {"private": private, "create_pr": create_pr, "revision": revision}
        self.tag = tag
        self.collection = collection
        self.gates = tuple(gates)
        self.token = token
        self.push = push
        self.force = force
        self.agreement: TeacherAgreement | None = None
        self.cosine: float | None = None
        self.noted: Any = None
        self.searching = False
        self.asked_for_pushes = False
        self.checkpoints_go_to_hub = False
        self.left_out: tuple[str, ...] = ()
        self.published = False
        self.outcome: PushOutcome | None = None
        """What the final push did."""

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remember where data and losses are noted: with `model_init`, other models are trained."""
        self.noted = getattr(kwargs["model"], "model_card_data", None)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check everything that could fail later, and become the author of README.md."""
        model: SentenceTransformer = kwargs["model"]
        refuse_other_kinds(model)
        self.published = False
        self.searching = state.is_hyper_param_search
        self.folder = Path(str(args.output_dir))
        self.spent = SpentSeconds(self._checkpoint(state))
        self.spent.on_train_begin(args, state, control)
        self.asked_for_pushes = self.asked_for_pushes or args.push_to_hub
        args.push_to_hub = False
        if not self.searching:
            self._check_destination(args, state)
            if model.model_card_data.train_datasets:
                self.noted = model.model_card_data
            refuse_uncollected(self.noted)
        self.teacher = load_teacher(self.teacher_settings, base=Path(), device=str(model.device))
        if not self.searching:
            self._check_student(model)
        monitored = self.held_out[-MONITORED_TEXTS:]
        vectors = np.asarray(self.teacher.model.encode(monitored, prompt=self.teacher.prompt))
        if vectors.shape[1] != model.get_embedding_dimension():
            raise TrainingError(
                f"the student gives {model.get_embedding_dimension()} dimensions, "
                f"but {self.teacher.name} gives {vectors.shape[1]}"
            )
        self.agreement = TeacherAgreement(monitored, vectors, self.teacher.prompt)
        if not self.searching:
            model._create_model_card = self._write_card  # type: ignore[method-assign]
            if state.is_world_process_zero:
                prepare_folder(self.folder)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add `eval_teacher_cosine` to what an evaluation logs."""
        logs: dict[str, Any] = kwargs["logs"]
        evaluated = any(name.startswith("eval_") and name.endswith("_runtime") for name in logs)
        if self.agreement is None or not evaluated:  # also `trainer.evaluate()` before the training
            return
        self.cosine = self.agreement(kwargs["model"])["teacher_cosine"]
        if math.isnan(self.cosine) and not self.searching:
            raise TrainingError(
                f"step {state.global_step}: the student's vectors are NaN, so training diverged; lower "
                "learning_rate, set max_grad_norm, or train in float32 or bf16"
            )
        logs["eval_teacher_cosine"] = state.log_history[-1]["eval_teacher_cosine"] = self.cosine

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add `eval_teacher_cosine` to the metrics, from which the Trainer chooses the best checkpoint."""
        if self.cosine is not None:
            kwargs["metrics"]["eval_teacher_cosine"] = self.cosine
            self.cosine = None

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Push the checkpoint where the Trainer was asked to push its checkpoints."""
        if self.searching:
            return
        self.spent.folder = self._checkpoint(state)
        self.spent.on_save(args, state, control)
        if not self.checkpoints_go_to_hub or not state.is_world_process_zero:
            return
        try:
            push(
                self._checkpoint(state),
                self.repo_id,
                token=self.token,
                commit_message=f"Training in progress, step {state.global_step}",
                exclude=self.left_out,
                load_back=False,
                **self.destination,
            )
        except HubDistillError as error:
            logger.warning("The checkpoint of step %d was not pushed: %s", state.global_step, error)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate, write report, figures and card, and push."""
        if self.searching or not state.is_world_process_zero:
            return
        model: SentenceTransformer = kwargs["model"]
        save_student(model, self.folder)
        saved = locate(str(self.folder.resolve()))
        check_saved(model, saved, self.held_out[-COMPARED_TEXTS:], prompt=self.teacher.prompt)
        subject = Subject(
            name=self.repo_id.split("/")[-1],
            model=saved,
            owner=self.owner,
            base_model=self.teacher.base_model_id,
            training=training_facts(
                args, state, self.noted, seconds=time.perf_counter() - self.spent.started
            ),
            kept_layers=self.layers,
        )
        write_reports(
            self.teacher,
            [subject],
            self.evaluation,
            held_out=HeldOut(self.held_out),
            base=Path(),
            seed=args.seed,
            work=self.folder / "eval",
            reproduce=f"HubDistillCallback({self.teacher.name!r}, {self.repo_id!r}, held_out=..., "
            f"evaluation=Evaluation.model_validate({describe(self.evaluation)})) in the same training "
            "script",
            device=str(model.device),
        )
        write_card(self.folder, repo_id=self.repo_id)
        self.published = True
        if self.push:
            try:
                self.outcome = push(
                    self.folder,
                    self.repo_id,
                    token=self.token,
                    tag=self.tag,
                    collection=self.collection,
                    gates=self.gates,
                    force=self.force,
                    **self.destination,
                )
            except LeakError:
                raise  # the files themselves are what is wrong
            except HubDistillError as error:
                error.add_note("The model and its card are complete; `hubdistill push` publishes them.")
                raise

    def _check_destination(self, args: TrainingArguments, state: TrainerState) -> None:
        """Check token, repository, gates and evaluation sets, and whether checkpoints go to the Hub."""
        self.token = self.token or args.hub_token
        if self.push and state.is_world_process_zero:
            check_gates(self.gates, self.evaluation)
            place = preflight(
                self.repo_id, token=self.token, tag=self.tag, collection=self.collection, **self.destination
            )
            if not self.force and not self.destination["create_pr"]:
                refuse_foreign_card(place, token=self.token)
            # What is there already stays until the final push.
            self.left_out = ("README.md", *FACTS) if place.exists else ()
        self.checkpoints_go_to_hub = self.push and self.asked_for_pushes and args.hub_strategy != "end"
        if self.checkpoints_go_to_hub and (self.gates or self.destination["create_pr"]):
            self.checkpoints_go_to_hub = False
            why = "has to meet gates" if self.gates else "opens a pull request"
            logger.warning("Checkpoints are not pushed, because the final push %s", why)
        check_sets(self.evaluation, Path(), seed=args.seed)
        check_held_out(self.evaluation, HeldOut(self.held_out), seed=args.seed)

    def _check_student(self, model: SentenceTransformer) -> None:
        """Check what is said of the student, and that it can be loaded again."""
        self.owner = settle_owner(self.owner, self.teacher)
        check_owner(self.owner, {self.teacher.name: self.teacher.license})
        if self.layers is not None:
            refuse_other_layers(self.layers, model, self.teacher.model)
        refuse_lost_base(model, self.held_out[-COMPARED_TEXTS:], prompt=self.teacher.prompt)

    def _checkpoint(self, state: TrainerState) -> Path:
        return self.folder / f"checkpoint-{state.global_step}"

    def _write_card(self, path: str, *args: Any, **kwargs: Any) -> None:
        """Stand in for the model's own card writer: the card as it is now, wherever the model is saved."""
        folder = Path(path)
        own = folder.resolve() == self.folder.resolve()
        if self.published and not own:
            shutil.copy(self.folder / "README.md", folder)
        elif not self.published and not (own and (folder / "README.md").exists()):
            # An earlier card of ours stays until the final one takes over its kept sections.
            metadata = {
                "library_name": "sentence-transformers",
                "license": self.owner.license,
                "pipeline_tag": "sentence-similarity",
                **({"base_model": self.teacher.base_model_id} if self.teacher.base_model_id else {}),
            }
            name = self.repo_id.split("/")[-1]
            atomic.write_text(
                folder / "README.md",
                f"---\n{yaml.safe_dump(metadata)}---\n<!-- Written by hubdistill. -->\n\n# {name}\n\n"
                f"A student of {self.teacher.name}, in training. Its card is written when training ends.\n",
            )
