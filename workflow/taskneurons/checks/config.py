"""Reading and checking a run's config, before any work starts: all mistakes at once."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from taskneurons.checks.continual import continual_problems, in_form
from taskneurons.checks.gguf import check_gguf
from taskneurons.checks.messages import Place, mistakes
from taskneurons.checks.model_files import check_folder, files_of_a_model
from taskneurons.checks.pin import unpinned, warning
from taskneurons.checks.plain import plain, task_file
from taskneurons.config.settings import (
    Config,
    ContinualSection,
    DataSection,
    ModelSource,
    PreparedTask,
    ResolvedSource,
    Sizes,
    Task,
    TokenBudget,
    brief,
    path_text,
    percent_text,
)
from taskneurons.core.errors import UserError
from taskneurons.core.named import named, names
from taskneurons.data.files import check_columns, check_hub_id, local_split, only_file
from taskneurons.data.readers import check_beginning
from taskneurons.data.splits import SOURCE_SPLITS
from taskneurons.data.suite.generator import SUITE
from taskneurons.data.templates import needed_columns
from taskneurons.neurons.families import family, longest_text

PUBLISHED = Path(__file__).parents[2] / "published" / "deactivation.csv"
RULES = "selection.rules"
# What no task may be called → what the workflow calls so, among models, folders and conditions.
RESERVED = {
    r"base": "the base model",
    r"multitask.*": "the fine-tuned models",
    r"none": "a model with all its neurons",
    r"random": "the random sets that serve all tasks",
    r"top[0-9]+": "the best neurons at some k",
}


@dataclass(frozen=True)
class RunTask:
    """A task with everything that its config entry leaves to the defaults.

    Attributes:
        shown: name, family, counterpart, metric: what only tables and figures use.
        data: what its preparation needs.
        sizes, tokens: its own, or those of all tasks.
    """

    shown: dict[str, str | None]
    data: PreparedTask
    sizes: Sizes
    tokens: TokenBudget


@dataclass(frozen=True)
class Run:
    """A checked config.

    Attributes:
        config: as it was given, with defaults; a relative model path is resolved.
        tasks: key → task, in the config's order.
        continual: the same of the tasks of continual learning, with their common prompt form.
        warnings: what is not wrong, but may surprise.
    """

    config: Config
    tasks: dict[str, RunTask]
    continual: dict[str, RunTask]
    warnings: list[str]


def checked_config(config: dict[str, Any], root: Path) -> Run:
    """The config after every check that needs no work.

    Args:
        config: as Snakemake or a YAML reader gives it; it is not changed.
        root: the project's folder, below which a relative path of a task file is looked up if it is not here.

    Raises:
        UserError: all things found wrong, a line each.
    """
    told: dict[Place, str] = {}
    given = plain(config, told)
    _read_task_files(given, root, told)
    keys = list(given["tasks"]) if isinstance(given.get("tasks"), dict) else []
    read, wrong = _read(given, told)
    if read is None:
        raise UserError("\n".join(wrong))
    read = _resolved_model(read)
    warnings: list[str] = []
    tasks = _resolved_tasks("tasks", read.tasks, read.data, read.data_root, wrong, warnings)
    continual: dict[str, RunTask] = {}
    if (section := read.continual) is not None:
        formed = {key: in_form(key, task, section) for key, task in section.tasks.items()}
        continual = _resolved_tasks("continual: tasks", formed, section, read.data_root, wrong, warnings)
    comparing = [rule for rule in read.damage.rules if rule in names(RULES) and named(RULES, rule).COMPARES]
    if len(keys) == 1 and comparing:
        warnings.append(f"damage: rules: {', '.join(comparing)} compare tasks, and there is one alone: left out")
    if read.neuron_tuning is not None and len({task.family for task in read.tasks.values()}) == 1:
        warnings.append(
            "neuron_tuning: there is one family alone: no other family's neurons are trained"
            if len(keys) > 1
            else "neuron_tuning: there is one task alone: beside its own neurons only random ones are trained"
        )
    if loose := unpinned(read.model.source, [task.data.source for task in (tasks | continual).values()]):
        warnings.append(warning(loose))
    wrong += [str(problem) for problem in _problems(read, tasks, keys)]
    wrong += [str(problem) for problem in continual_problems(read, tasks, continual)]
    if wrong:
        raise UserError("\n".join(dict.fromkeys(wrong)))
    return Run(read, tasks, continual, warnings)


def _read_task_files(given: dict[str, Any], root: Path, told: dict[Place, str]) -> None:
    """Put the tasks in the place of the file that holds them: of the run, and of continual learning."""
    for section, where in ((given, ("tasks",)), (given.get("continual"), ("continual", "tasks"))):
        if isinstance(section, dict) and isinstance(section.get("tasks"), str):
            section["tasks"] = plain(task_file(section["tasks"], root), told, where)


def _resolved_tasks(
    where: str,
    tasks: dict[str, Task],
    data: DataSection | ContinualSection,
    data_root: str | None,
    wrong: list[str],
    warnings: list[str],
) -> dict[str, RunTask]:
    """The tasks of a section that can be prepared; what is wrong with the others joins `wrong`.

    Args:
        where: the section.
        data: the sizes and token budgets of all of them.
    """
    found: dict[str, RunTask] = {}
    for key, task in tasks.items():
        try:
            found[key] = _resolved_task(f"config: {where}: {key}", key, task, data, data_root)
        except UserError as problem:
            wrong.append(str(problem))
            continue
        except OSError as problem:  # a path that is too long, or that may not be read
            wrong.append(f"config: {where}: {key}: source: {problem}")
            continue
        if found[key].data.source.local is not None and found[key].data.source.splits is None:
            warnings.append(
                f"{where}: {key}: one data file is split by the seed: 80 % train, 10 % validation, 10 % test"
            )
    return found


def _read(given: dict[str, Any], told: dict[Place, str]) -> tuple[Config | None, list[str]]:
    """The typed config, without the entries that are wrong, and what is wrong; None where too little is left.

    Entries that are wrong fall back on their defaults, so that the other checks can look at the rest.

    Args:
        told: what was found wrong before, and has been taken out.
    """
    found = dict(told)
    while True:
        try:
            return Config.model_validate(given), list(found.values())
        except ValidationError as problem:
            new = mistakes(problem, given)
        left = len(found)
        found = new | found  # the first thing said about a place stays
        removed = [_removed(given, where) for where in new]
        if not any(removed) or len(found) == left:
            return None, list(found.values())


def _removed(given: Any, where: tuple[str | int, ...]) -> bool:
    """Take the entry at a path out of the config, or a task that lacks something whole; whether there was any.

    In place of a model that is wrong, and of the last task, comes one that the other checks pass by.
    """
    if where and where[0] == "model":
        given["model"] = {"name": "model", "source": {"hub": "model", "revision": "main"}}
        return True
    if where and where[0] == "tasks" and len(where) > 1:
        tasks = given["tasks"]
        removed = isinstance(tasks, dict) and tasks.pop(str(where[1]), None) is not None
        if removed and not tasks:
            tasks[str(where[1])] = {
                "family": "f",
                "source": {"suite": "town_news"},
                "prompt": "{report} :",
                "target": "summary",
            }
        return removed
    path = [part for part in where if isinstance(part, str)]
    for part in path[:-1]:
        given = given.get(part) if isinstance(given, dict) else None
    return bool(path) and isinstance(given, dict) and given.pop(path[-1], None) is not None


def _resolved_model(config: Config) -> Config:
    """The config with the model's path below the data root, or with `weights` in place of its source."""
    model = config.model
    if config.weights is not None:
        name = f"{model.name} (GGUF)"  # a quantised copy is another model
        model = model.model_copy(update={"source": ModelSource(gguf=config.weights), "name": name})
    elif model.source.path is not None:
        path = str(Path(config.data_root or ".", model.source.path))
        model = model.model_copy(update={"source": ModelSource(path=path)})
    return config.model_copy(update={"model": model})


def _resolved_task(
    where: str, key: str, task: Task, data: DataSection | ContinualSection, data_root: str | None
) -> RunTask:
    for pattern, what in RESERVED.items():
        if re.fullmatch(pattern, key):
            raise UserError(f"{where}: a task may not be called so: the workflow calls {what} so; take another key")
    metric = task.metric or ("accuracy" if task.labels else "rougeL")
    source = resolved_source(where, task, data_root)
    prepared = PreparedTask(
        source=source,
        prompt=task.prompt,
        target=task.target,
        metric=metric,
        labels=task.labels,
        nulls=task.nulls,
    )
    try:
        _check_data(where, prepared)
    except UserError as problem:
        if source.local is None or (Path(source.local).is_absolute() and data_root is None):
            raise
        root = "not given" if data_root is None else brief(data_root)
        raise UserError(f"{problem} (data_root is {root})") from problem
    shown = {
        "name": task.name or key,
        "family": task.family,
        "counterpart": task.counterpart,
        "metric": metric,
    }
    sizes = task.sizes.model_dump(exclude_unset=True) if task.sizes else {}
    tokens = task.tokens.model_dump(exclude_unset=True) if task.tokens else {}
    return RunTask(shown, prepared, data.sizes.model_copy(update=sizes), data.tokens.model_copy(update=tokens))


def resolved_source(where: str, task: Task, data_root: str | None) -> ResolvedSource:
    """The one place where a task's data come from: the suite, the hub, or a local folder or file.

    A local one is taken where there is no other source, and where a data root is given; its path is relative to that
    root.

    Raises:
        UserError: a data root is given, but the task has no local source.
    """
    source = task.source
    if source.suite is not None:
        return ResolvedSource(suite=source.suite)
    if source.local is not None and (data_root is not None or source.hub is None):
        path = str(Path(data_root or ".") / source.local.path)
        splits = None if only_file(path) else source.local.splits.model_dump()
        return ResolvedSource(local=path, splits=splits, references=source.local.references)
    hub = source.hub
    assert hub is not None
    if data_root is not None:
        raise UserError(f"{where}: source: has no local entry, but data_root is {data_root!r}")
    return ResolvedSource(
        hub=hub.id,
        config=hub.config,
        revision=hub.revision,
        splits=hub.splits.model_dump(),
        columns=hub.columns,
        references=hub.references,
    )


def _check_data(where: str, data: PreparedTask) -> None:
    source = data.source
    if source.suite is not None:
        suite_task = SUITE.get(source.suite)
        if suite_task is None:
            raise UserError(f"{where}: source: the suite has no task {source.suite!r}; it has {', '.join(SUITE)}")
        check_columns([*suite_task.columns, suite_task.answer], needed_columns(data), f"{where}: the suite's task")
    try:
        if source.hub is not None:
            check_hub_id(source.hub)
        if source.local is not None:
            files = [local_split(source.local, source.splits, split) for split in SOURCE_SPLITS["test"]]
            for file in dict.fromkeys(files):
                check_beginning(file, needed_columns(data))
    except UserError as problem:
        raise UserError(f"{where}: {problem}") from problem


def _problems(config: Config, tasks: dict[str, RunTask], keys: list[str]) -> Iterator[str]:
    """What is wrong with the config as a whole, one sentence each; `keys` are those of all tasks, right or wrong."""
    try:
        _check_model(config, tasks)
    except UserError as problem:
        where = "weights" if config.weights is not None else "model: source"
        yield str(problem) if str(problem).startswith("config: ") else f"config: {where}: {problem}"
    yield from _problems_of_names(tasks)
    yield from _problems_of_choices(config, keys)
    yield from _problems_of_files(config, tasks)
    yield from _problems_of_sizes(config, tasks)
    yield from _problems_of_trainings(config, tasks)
    yield from _problems_of_rules(config)


def _check_model(config: Config, tasks: dict[str, RunTask]) -> None:
    try:
        found = _model_at_hand(config.model.source)
    except OSError as problem:  # no right to read it, a name that is too long
        raise UserError(f"config: model: source: cannot be read: {problem}") from problem
    if found is None:
        return
    name, longest, where = found
    if family(name).experts and config.neuron_tuning is not None:
        raise UserError(
            f"config: neuron_tuning: is not available for mixtures of experts ({name}): set neuron_tuning: null"
        )
    _check_budgets(tasks, longest, where)


def _model_at_hand(source: ModelSource) -> tuple[str, int | None, str] | None:
    """The family, the most tokens that the model reads and where that is said; None of the hub's model.

    Raises:
        UserError: the model's files are not whole, or do not fit together.
    """
    if source.pretrain is not None:
        where = "model: source: pretrain: architecture: max_position_embeddings"
        return "llama", source.pretrain.architecture.max_position_embeddings, where
    if source.path is not None:
        try:
            found = check_folder(Path(source.path))
        except UserError as problem:
            raise UserError(f"config: model: source: path: {problem}") from problem
        return found["model_type"], longest_text(found), f"config.json of model: source: path: {source.path}"
    if source.gguf is not None:
        return *check_gguf(Path(source.gguf)), f"context length of the GGUF file {source.gguf}"
    if Path(str(source.hub)).exists():
        raise UserError(
            f"config: model: source: hub: {source.hub} is a local folder or file here, which would be read in place of "
            f"the hub's: give it as path: {source.hub}, or run from another folder"
        )
    return None  # the import looks at what the hub gives


def _check_budgets(tasks: dict[str, RunTask], longest: int | None, where: str) -> None:
    """Raise a UserError where the examples of some tasks may be longer than the most tokens that the model reads."""
    needed = {key: task.tokens.prompt + task.tokens.target + 1 for key, task in tasks.items()}  # 1: the end of text
    over = {key: tokens for key, tokens in needed.items() if longest is not None and tokens > longest}
    if over:
        key = max(over, key=lambda key: over[key])
        budget = tasks[key].tokens
        raise UserError(
            f"config: data: tokens: a prompt of {budget.prompt} tokens, a target of {budget.target} and the end of "
            "text are "
            f"{over[key]}, more than the {longest} that the model reads ({where}), for {', '.join(over)}: lower the "
            "budgets"
        )


def _problems_of_names(tasks: dict[str, RunTask]) -> Iterator[str]:
    """Tables and figures tell tasks apart by name, and find published figures by counterpart."""
    with PUBLISHED.open() as file:
        published = {row["task"] for row in csv.DictReader(file)}
    seen: dict[str | None, str] = {}
    for key, task in tasks.items():
        name, counterpart = task.shown["name"], task.shown["counterpart"]
        if other := seen.get(name):
            yield f"config: tasks: {other} and {key} have the same name, {name!r}"
        seen[name] = key
        if counterpart is not None and counterpart not in published:
            yield (
                f"config: tasks: {key}: counterpart: the paper has no task {counterpart!r}; it has "
                f"{', '.join(sorted(published))}; write null for none"
            )


def _problems_of_choices(config: Config, keys: list[str]) -> Iterator[str]:
    chosen: list[tuple[str, list[str]]] = [
        ("faithfulness: tasks", some_tasks(config, config.faithfulness.tasks)),
        ("set_faithfulness: tasks", some_tasks(config, config.set_faithfulness.tasks)),
    ]
    if (tuning := config.neuron_tuning) is not None:
        chosen.append(("neuron_tuning: rates: tasks", some_tasks(config, tuning.rates.tasks)))
        for name, section in (("budgets", tuning.budgets), ("proportions", tuning.proportions)):
            if section is not None:
                chosen.append((f"neuron_tuning: {name}: tasks", some_tasks(config, section.tasks)))
    for side, groups in (("train", config.groups.train), ("test", config.groups.test)):
        chosen += [(f"groups: {side}: {name}", tasks) for name, tasks in groups.items()]
    for where, tasks in chosen:
        if absent := [task for task in tasks if task not in keys]:
            yield f"config: {where}: there is no task {', '.join(map(repr, absent))}; there are {', '.join(keys)}"
    generalisation = config.generalisation
    ablation = None if generalisation is None else generalisation.overlap_ablation
    if ablation is not None and ablation.pairs != "all":
        pairs = config.groups.pairs()
        if unknown := [pair for pair in ablation.pairs if pair not in pairs]:
            there_are = f"there are {', '.join(pairs)}" if pairs else "groups has none"
            yield (
                f"config: generalisation: overlap_ablation: pairs: there is no pair of groups "
                f"{', '.join(map(repr, unknown))}; {there_are}"
            )


def _problems_of_files(config: Config, tasks: dict[str, RunTask]) -> Iterator[str]:
    """Files that become inputs of rules without being named in the config: their names must be plain texts too."""
    found: dict[str, list[Path]] = {}
    if config.model.source.path is not None and Path(config.model.source.path).is_dir():
        found["model: source: path"] = files_of_a_model(Path(config.model.source.path))
    for key, task in tasks.items():
        source = task.data.source
        if source.local is not None and source.splits is None:
            found[f"tasks: {key}: source: local: path"] = [local_split(source.local, None, "train")]
    for where, files in found.items():
        for file in files:
            try:
                path_text(str(file))
            except ValueError as problem:
                yield f"config: {where}: {problem}"


def _problems_of_sizes(config: Config, tasks: dict[str, RunTask]) -> Iterator[str]:
    shards = config.attribution.shards
    if few := [key for key, task in tasks.items() if shards > task.sizes.attribution]:
        yield (
            f"config: attribution: shards: {shards} is more than the {tasks[few[0]].sizes.attribution} attribution "
            f"examples of {', '.join(few)} (data.sizes)"
        )


def _problems_of_trainings(config: Config, tasks: dict[str, RunTask]) -> Iterator[str]:
    trainings = {"training": config.training}
    if config.neuron_tuning is not None:
        trainings["neuron_tuning: training"] = config.neuron_tuning.training  # type: ignore[assignment]
    for where, training in trainings.items():
        if training.patience and not training.validation:
            yield (
                f"config: {where}: patience: {training.patience} epochs without a better validation loss cannot be "
                "seen with validation: 0; say on how many validation examples a task the loss is measured"
            )
        few = [key for key, task in tasks.items() if training.validation > task.sizes.validation]
        if few:
            yield (
                f"config: {where}: validation: {training.validation} is more than the "
                f"{tasks[few[0]].sizes.validation} validation examples of {', '.join(few)} (data.sizes)"
            )


def _problems_of_rules(config: Config) -> Iterator[str]:
    rules, known = config.damage.rules, names(RULES)
    for rule in rules:
        if rule != "random" and rule not in known:
            yield f"config: damage: rules: there is no rule {rule!r}; there are {', '.join([*known, 'random'])}"
    if set(rules) <= {"random"}:
        yield "config: damage: rules: give at least one rule beside random, to be compared with it"
    for rule, percents in config.damage.scored.items():
        for k in percents:
            if k not in rules.get(rule, []):
                yield f"config: damage: scored: {rule} {percent_text(k)} is not among damage.rules: add it there too"


def some_tasks(config: Config, chosen: str | list[str]) -> list[str]:
    """The keys of the tasks that a setting chooses: a list, or "all"."""
    return list(config.tasks) if isinstance(chosen, str) else chosen


def needed_sizes(task: RunTask, split: str) -> dict[str, int]:
    """The size of a split and, for a hub or local source, of those that are filled before it."""
    sizes = task.sizes.model_dump()
    if task.data.source.suite is not None:
        return {split: sizes[split]}
    order = list(SOURCE_SPLITS)
    return {name: sizes[name] for name in order[: order.index(split) + 1]}


def data_of(task: RunTask, split: str) -> PreparedTask:
    """What the preparation of one split needs of a task: of the source's splits only those that it reads."""
    source = task.data.source
    if source.splits is not None:
        splits = {name: source.splits[name] for name in SOURCE_SPLITS[split]}
        source = source.model_copy(update={"splits": splits})
    return task.data.model_copy(update={"source": source})
