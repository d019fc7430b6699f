"""From what a person types to a run: a token, the folder of a run, a plan file, a corpus entry."""

from pathlib import Path

import msgspec

from runtime.errors import ConfigurationError
from sim import corpus
from sim.outcome import AS_DRAWN, Task, Wishes
from sim.report import files
from sim.report.result import Report
from sim.token import Token, parse_token


class Found(msgspec.Struct, frozen=True):
    """A run. ``folder`` and ``report`` are those of an earlier one, where there is one."""

    task: Task
    folder: Path | None = None
    report: Report | None = None

    @property
    def token(self) -> Token:
        """What names the run."""
        return Token(self.task.scenario, self.task.seed, self.task.planned().digest())


class Places(msgspec.Struct, frozen=True):
    """Where runs are looked for."""

    reports: Path = files.REPORTS
    corpus: Path = corpus.FOLDER


def find(text: str, places: Places) -> Found:
    """Return the run that ``text`` names; `ConfigurationError` where there is none.

    A token whose hash is not that of the plan drawn here is looked for among the reports, then in
    the corpus: it was drawn by other code, or shrunk.
    """
    path = Path(text)
    if path.is_file() or (path / "plan.json").is_file():
        return _in_folder(path if path.is_dir() else path.parent, path)
    entries = corpus.read_corpus(places.corpus)
    if text in entries:
        plan = entries[text].plan
        return Found(Task(plan.scenario, plan.seed, plan=plan, corpus=text))
    token = parse_token(text)
    task = Task(token.scenario, token.seed)
    drawn = task.planned().digest()
    if drawn.startswith(token.plan):
        folder = _folder_of(places.reports, drawn)
        return Found(task, folder, None if folder is None else files.read_report(folder))
    folder = _folder_of(places.reports, token.plan)
    if folder is not None:
        return _in_folder(folder, folder)
    for name, entry in entries.items():
        if entry.plan.digest().startswith(token.plan):
            return Found(Task(token.scenario, token.seed, plan=entry.plan, corpus=name))
    raise ConfigurationError(
        f"{text}: the plan drawn here is {drawn}, and no plan {token.plan} is in {places.reports} "
        f"or {places.corpus}",
        hint="it was drawn by other code, or shrunk: give the folder of the run instead",
    )


def _in_folder(folder: Path, file: Path) -> Found:
    plan, report = files.read_plan(file), files.read_report(folder)
    mutation = "" if report is None else report.mutation
    wishes = Wishes(mutation=mutation) if mutation else AS_DRAWN
    return Found(Task(plan.scenario, plan.seed, wishes, plan), folder, report)


def _folder_of(reports: Path, plan_hash: str) -> Path | None:
    found = (
        folder
        for folder in files.folders(reports)
        if files.read_plan(folder).digest().startswith(plan_hash)
    )
    return next(found, None)
