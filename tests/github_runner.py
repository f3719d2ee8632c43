"""Runs this project's workflows as GitHub would, on this machine.

Jobs, reusable workflows, composite actions and expressions are understood as far as our own files need
them; anything else raises `NotSupportedError`, so that a workflow never passes its test by being
misunderstood. Scripts run in a real bash. Actions of others are given as functions.

https://docs.github.com/en/actions/reference/workflows-and-actions has the rules.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SELF = "$/"
"""What `uses` begins with for something of the repository that the workflow itself is in."""

Context = Mapping[str, Any]
Action = Callable[["Job", Mapping[str, str]], Mapping[str, str]]
"""Stands in for an action of others: gets the job and the inputs, returns the outputs."""

_SHELLS = {
    None: ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
}
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>\d+)|(?P<sign>==|!=|&&|\|\||[!(),])|(?P<name>[A-Za-z_][\w.-]*))"
)


class NotSupportedError(Exception):
    """A workflow says something that this runner does not understand."""


class RefusedError(Exception):
    """A workflow that GitHub would not start."""


def load(path: Path) -> dict[str, Any]:
    """Read a workflow. YAML 1.1 takes the key `on` for true."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, Any]:
    """Read the text of a workflow."""
    return {"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}


@dataclass
class Step:
    """What became of a step.

    Args:
        name: its name, or what it uses.
        outcome: `success`, `failure` or `skipped`.
        output: what it printed, both streams in their order.
    """

    name: str
    outcome: str
    output: str = ""


@dataclass
class Job:
    """A job on its runner.

    Args:
        folder: the runner's; the workspace, the temporary folder and HOME are in it.
        environment: what the runner's processes have, besides what GitHub sets.
        actions: stand-ins for the actions of others, by `owner/name`.
        github: the context `github`, by the names of its variables: `ref_name`, `ref_type`, ...
        variables: the context `vars`.
        secrets: of the repository, or those that the caller passed on.
        id_token: address and token of the service for id tokens, for a job that may ask it.
    """

    folder: Path
    environment: Mapping[str, str]
    actions: Mapping[str, Action]
    github: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    id_token: tuple[str, str] | None = None
    steps: list[Step] = field(default_factory=list)
    failed: bool = False
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (self.workspace, self.temporary, self.folder / "home", self.folder / "files"):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def workspace(self) -> Path:
        """Where the repository is checked out."""
        return self.folder / "workspace"

    @property
    def temporary(self) -> Path:
        """RUNNER_TEMP."""
        return self.folder / "temp"

    @property
    def summary(self) -> str:
        """What the steps wrote to GITHUB_STEP_SUMMARY."""
        return self._read("summary")

    @property
    def log(self) -> str:
        """Everything that the steps printed."""
        return "".join(step.output for step in self.steps)

    def everything_written(self) -> str:
        """The log and all files that GitHub reads after a step."""
        names = ("summary", "output", "env", "path", "state")
        return "\n".join([self.log, *map(self._read, names), *self.outputs.values()])

    def run(self, workflow: Context, name: str, *, needs: Context | None = None) -> Job:
        """Run a job of a workflow, which may call a reusable workflow of this project."""
        job = workflow["jobs"][name]
        granted = job.get("permissions", workflow.get("permissions"))
        contexts = {
            "github": self.github,
            "vars": self.variables,
            "secrets": self.secrets,
            "needs": needs or {},
        }
        if "if" in job and not truth(evaluate(job["if"], contexts)):
            raise NotSupportedError(f"the job {name} is skipped")
        if "uses" in job:
            self._call(job, contexts, granted)
        else:
            self._steps_of(job, contexts, granted)
        return self

    def _call(self, job: Context, caller: Context, granted: Context) -> None:
        """Run the one job of a reusable workflow."""
        called = load(_own_file(job["uses"]))
        declared = called["on"]["workflow_call"]
        given = {key: expand(value, caller) for key, value in job.get("with", {}).items()}
        passed = {key: expand(value, caller) for key, value in job.get("secrets", {}).items()}
        if unknown := (set(given) - set(declared["inputs"])) | (set(passed) - set(declared["secrets"])):
            raise RefusedError(f"{job['uses']} has no {unknown}")
        inputs = {}
        for key, one in declared["inputs"].items():
            if one.get("required") and key not in given:
                raise RefusedError(f"{job['uses']} needs {key}")
            inputs[key] = given.get(key, one.get("default"))
            kinds = {"string": str, "boolean": bool, "number": int}
            if type(inputs[key]) is not kinds[one["type"]]:
                raise RefusedError(f"{key} of {job['uses']} is a {one['type']}, not {inputs[key]!r}")
        self.secrets = {key: text(value) for key, value in passed.items() if value}
        contexts = {**caller, "inputs": inputs, "secrets": self.secrets, "needs": {}}
        ((name, inner),) = called["jobs"].items()
        asked = inner.get("permissions", {})
        if beyond := {key for key, value in asked.items() if granted.get(key) not in (value, "write")}:
            raise RefusedError(f"{job['uses']} asks for {beyond}, which the calling job does not grant")
        self._steps_of(inner, contexts, asked)
        jobs = {"jobs": {name: {"outputs": dict(self.outputs)}}}
        self.outputs = {key: text(expand(one["value"], jobs)) for key, one in declared["outputs"].items()}

    def _steps_of(self, job: Context, contexts: Context, permissions: Context) -> None:
        allowed = self.id_token if permissions.get("id-token") == "write" else None
        environment = dict(self.environment) | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "HOME": str(self.folder / "home"),
            "RUNNER_TEMP": str(self.temporary),
            **{f"GITHUB_{key.upper()}": value for key, value in self.github.items()},
        }
        if allowed:
            address, token = allowed
            environment |= {
                "ACTIONS_ID_TOKEN_REQUEST_URL": address,
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
            }
        known = {**contexts, "runner": {"temp": str(self.temporary)}}
        done = self._run_steps(job["steps"], known, environment)
        outputs = job.get("outputs", {})
        self.outputs = {key: text(expand(value, {**known, "steps": done})) for key, value in outputs.items()}

    def _run_steps(
        self, steps: list[dict[str, Any]], contexts: Context, environment: Mapping[str, str]
    ) -> dict[str, Any]:
        """Run steps in their order; returns the context `steps`."""
        done: dict[str, Any] = {step["id"]: {"outputs": {}} for step in steps if "id" in step}
        for step in steps:
            _only(step, "name", "id", "if", "uses", "with", "run", "shell", "env", "working-directory")
            known = {**contexts, "steps": done}
            name = step.get("name") or step.get("uses") or step["run"]
            if not self._is_due(step, known):
                self.steps.append(Step(name, "skipped"))
                continue
            if "uses" in step:
                given = {key: text(expand(value, known)) for key, value in step.get("with", {}).items()}
                outputs = self._use(step["uses"], given, known, environment)
            else:
                own = {key: text(expand(value, known)) for key, value in step.get("env", {}).items()}
                place = text(expand(step.get("working-directory", str(self.workspace)), known))
                outputs = self._script(name, step, {**environment, **own}, Path(place))
            if "id" in step:
                done[step["id"]] = {"outputs": outputs}
        return done

    def _is_due(self, step: Context, contexts: Context) -> bool:
        condition = str(step.get("if", "success()"))
        if condition == "always()":
            return True
        if "(" in condition and condition != "success()":
            raise NotSupportedError(f"if: {condition}")
        return not self.failed and (condition == "success()" or truth(evaluate(condition, contexts)))

    def _use(
        self, uses: str, given: Mapping[str, str], contexts: Context, environment: Mapping[str, str]
    ) -> Mapping[str, str]:
        if not uses.startswith(SELF):
            action = self.actions.get(uses.partition("@")[0])
            if action is None:
                raise NotSupportedError(uses)
            self.steps.append(Step(uses, "success"))
            return action(self, given)
        folder = _own_file(uses)
        action_file = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        declared = action_file["inputs"]
        if unknown := set(given) - set(declared):
            raise RefusedError(f"{uses} has no {unknown}")
        # GitHub does not check `required`; we do.
        if missing := {key for key, one in declared.items() if one.get("required")} - set(given):
            raise RefusedError(f"{uses} needs {missing}")
        inputs = {key: given.get(key, text(one.get("default"))) for key, one in declared.items()}
        # An action sees neither the secrets nor the variables of the repository.
        inside = {"github": contexts["github"], "runner": contexts["runner"], "inputs": inputs}
        done = self._run_steps(
            action_file["runs"]["steps"], inside, {**environment, "GITHUB_ACTION_PATH": str(folder)}
        )
        outputs = action_file.get("outputs", {})
        return {key: text(expand(one["value"], {**inside, "steps": done})) for key, one in outputs.items()}

    def _script(
        self, name: str, step: Context, environment: Mapping[str, str], place: Path
    ) -> Mapping[str, str]:
        if "${{" in step["run"]:
            raise NotSupportedError(f"an expression in a script: {step['run']}")
        script = self.folder / "files" / f"{len(self.steps)}.sh"
        script.write_text(step["run"], encoding="utf-8")
        files = {key: self._file(key) for key in ("summary", "output", "env", "path", "state")}
        for file in files.values():
            file.touch()
        before = len(self._read("output"))
        done = subprocess.run(
            [*_SHELLS[step.get("shell")], str(script)],
            env={
                **environment,
                "GITHUB_STEP_SUMMARY": str(files["summary"]),
                **{f"GITHUB_{key.upper()}": str(files[key]) for key in ("output", "env", "path", "state")},
            },
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if self._read("env") or self._read("path"):
            raise NotSupportedError(f"{name} changes the environment of the steps after it")
        self.failed |= done.returncode != 0
        self.steps.append(Step(name, "failure" if done.returncode else "success", done.stdout))
        lines = self._read("output")[before:].splitlines()
        if not all("=" in line for line in lines):
            raise NotSupportedError(f"GITHUB_OUTPUT of {name}: {lines}")
        return dict(line.split("=", 1) for line in lines)

    def _file(self, key: str) -> Path:
        return self.folder / "files" / key

    def _read(self, key: str) -> str:
        return self._file(key).read_text(encoding="utf-8") if self._file(key).exists() else ""


def _own_file(uses: str) -> Path:
    """A workflow or action of this project: by `$/path`, or as other repositories name it."""
    own = re.fullmatch(r"(?:\$|OWNER/hubdistill)/(?P<path>[^@]+)(?P<ref>@.+)?", uses)
    if not own or uses.startswith(SELF) == bool(own["ref"]):
        raise NotSupportedError(uses)
    return ROOT / own["path"]


def expand(value: Any, contexts: Context) -> Any:
    """A value with its `${{ }}` evaluated; one that is nothing else keeps its type."""
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{\{(.*?)\}\}", value.strip())
    if whole:
        return evaluate(whole[1], contexts)
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: text(evaluate(found[1], contexts)), value)


def text(value: Any) -> str:
    """A value as an expression prints it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def truth(value: Any) -> bool:
    """Whether a value counts as true: all but null, false, 0 and the empty string."""
    return value not in (None, False, 0, "")


def evaluate(expression: str, contexts: Context) -> Any:
    """The value of an expression of literals, contexts, `==`, `!=`, `&&`, `||`, `!` and parentheses."""
    tokens, position = [], 0
    expression = expression.strip()
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if not found:
            raise NotSupportedError(expression)
        tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
        position = found.end()
    return _Parser(iter(tokens), contexts, expression).whole()


class _Parser:
    def __init__(self, tokens: Iterator[tuple[str, str]], contexts: Context, expression: str) -> None:
        self._tokens, self._contexts, self._expression = tokens, contexts, expression
        self._kind, self._token = next(tokens, ("end", ""))

    def whole(self) -> Any:
        value = self._either()
        if self._kind != "end":
            raise NotSupportedError(self._expression)
        return value

    def _advance(self) -> str:
        token = self._token
        self._kind, self._token = next(self._tokens, ("end", ""))
        return token

    def _either(self) -> Any:
        value = self._both()
        while self._token == "||":
            self._advance()
            other = self._both()
            value = value if truth(value) else other
        return value

    def _both(self) -> Any:
        value = self._equal()
        while self._token == "&&":
            self._advance()
            other = self._equal()
            value = other if truth(value) else value
        return value

    def _equal(self) -> Any:
        value = self._single()
        while self._token in ("==", "!="):
            sign, other = self._advance(), self._single()
            if not isinstance(value, str | None) or not isinstance(other, str | None):
                raise NotSupportedError(f"comparing what is no text: {self._expression}")
            value = (text(value).lower() == text(other).lower()) == (sign == "==")
        return value

    def _single(self) -> Any:
        kind, token = self._kind, self._advance()
        match kind, token:
            case "sign", "!":
                return not truth(self._single())
            case "sign", "(":
                value = self._either()
                if self._advance() != ")":
                    raise NotSupportedError(self._expression)
                return value
            case "string", _:
                return token[1:-1].replace("''", "'")
            case "number", _:
                return int(token)
            case "name", "true" | "false":
                return token == "true"
            case "name", _ if self._token != "(":
                return self._look_up(token)
            case _:
                raise NotSupportedError(self._expression)

    def _look_up(self, name: str) -> Any:
        """A context's value. Variables and secrets may be unset; everything else must be there."""
        first, *rest = name.split(".")
        value: Any = self._contexts.get(first)
        for part in rest:
            if not isinstance(value, Mapping):
                raise NotSupportedError(f"{name} is not known here")
            if part not in value and first not in ("vars", "secrets") and rest[-2:-1] != ["outputs"]:
                raise NotSupportedError(f"{name} is not known here")
            value = value.get(part)
        return value


def _only(step: Mapping[str, Any], *known: str) -> None:
    if unknown := set(step) - set(known):
        raise NotSupportedError(f"{unknown} of {step}")


def own_path() -> str:
    """A PATH with the system's commands, and none of the environment that the tests run in."""
    return os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))
