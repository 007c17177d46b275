"""Reading and checking a run's configuration, before any work starts."""

import csv
import json
import struct
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from taskneurons.data_files import check_columns, file_columns, local_file
from taskneurons.errors import UserError
from taskneurons.families import feed_forward
from taskneurons.splits import SOURCE_SPLITS
from taskneurons.suite.generator import SUITE
from taskneurons.templates import needed_columns

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.json"
DEFAULT_SPLITS = {"train": "train", "validation": "validation", "test": "test"}

# Where GGUF's name of an architecture is not transformers' one.
GGUF_FAMILIES = {"gemma3": "gemma3_text", "gptneox": "gpt_neox"}

Config = dict[str, Any]


def checked_config(config: Config, root: Path) -> Config:
    """The configuration with its task file read in and its sources resolved, after every check that needs no work.

    Args:
        config: as Snakemake or a YAML reader gives it; it is not changed.
        root: the project's folder, below which a relative path of a task file is looked up if it is not here.

    Raises:
        UserError: the first thing found wrong.
    """
    try:  # a deep copy; YAML's integer keys become strings, as JSON has them
        config = json.loads(json.dumps(config, allow_nan=False))
    except ValueError as problem:
        raise UserError(f"config: holds .nan or .inf, which no setting takes ({problem})") from problem
    if isinstance(config.get("tasks"), str):
        config["tasks"] = _task_file(config["tasks"], root)
    if config.get("neuron_tuning", {}) is None:  # null: what is merged into config.yaml can take no entry away
        del config["neuron_tuning"]
    _check_schema(config)
    if "weights" in config:
        config["model"]["source"] = {"gguf": config.pop("weights")}
        config["model"]["name"] += " (GGUF)"  # a quantised copy is another model
    if "path" in config["model"]["source"]:
        place = Path(config.get("data_root", "."), config["model"]["source"]["path"])
        config["model"]["source"]["path"] = str(place)
    _check_model(config["model"]["source"], tuned="neuron_tuning" in config)
    for key, task in config["tasks"].items():
        task["source"] = resolved_source(key, task["source"], config.get("data_root"))
        _check_task(key, task)
    _check_names(config["tasks"])
    _check_groups(config["overlap"]["groups"], config["tasks"])
    _check_comparisons(config)
    return config


def _task_file(name: str, root: Path) -> Config:
    for path in (Path(name), root / name):
        if path.is_file():
            return json.loads(json.dumps(yaml.safe_load(path.read_text())))
    raise UserError(f"config: tasks: the file {name} does not exist")


def _check_schema(config: Config) -> None:
    schema = json.loads(SCHEMA.read_text())
    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if problem is None:
        return
    where = "config" + "".join(f"[{part}]" if isinstance(part, int) else f": {part}" for part in problem.absolute_path)
    hint = ""
    if problem.validator in ("type", "anyOf") and isinstance(problem.instance, str) and _is_number(problem.instance):
        hint = " (it is read as text: write a number without quotes, and with a point before an exponent, as in 1.0e-4)"
    if isinstance(problem.instance, bool):
        hint = " (YAML reads yes, no, on and off as true and false: write such a word in quotes)"
    message = problem.message
    if problem.validator == "exclusiveMinimum":
        message = f"{problem.instance} is too small: it has to be above {problem.validator_value}"
    if problem.validator == "anyOf" and "description" in problem.schema:
        message = f"{problem.instance!r} is not {problem.schema['description']}"
    if problem.validator == "additionalProperties" and "properties" in problem.schema:
        message += f"; there are {', '.join(problem.schema['properties'])}"
    if list(problem.absolute_path) == ["model", "source"]:
        message = (
            "give exactly one of pretrain (as in config.yaml), hub with revision, path, or gguf; it has "
            f"{', '.join(problem.instance) or 'none'}. A config without `tasks` is merged into config.yaml, whose "
            "source is pretrain: for another model copy config.yaml whole"
        )
    raise UserError(f"{where}: {message}{hint}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def resolved_source(key: str, source: Config, data_root: str | None) -> Config:
    """The one place where a task's data come from: the suite, the hub, or a local folder.

    A local folder is taken where there is no other source, and where a data root is given; its path is relative to
    that root.
    """
    if "suite" in source:
        if len(source) > 1:
            raise UserError(f"config: tasks: {key}: source: give either suite, or hub and local")
        return dict(source)
    if "local" in source and (data_root is not None or "hub" not in source):
        local = {**source["local"], "path": str(Path(data_root or ".") / source["local"]["path"])}
        return {"local": local, "splits": local.pop("splits", DEFAULT_SPLITS), **_references(local)}
    if "hub" not in source:
        raise UserError(f"config: tasks: {key}: source: is empty; give suite, hub or local")
    if data_root is not None:
        raise UserError(f"config: tasks: {key}: source: has no local entry, but data_root is {data_root!r}")
    hub = dict(source["hub"])
    return {"hub": hub, "splits": hub.pop("splits", DEFAULT_SPLITS), **_references(hub)}


def _references(where: Config) -> Config:
    return {"references": where.pop("references")} if "references" in where else {}


def _check_names(tasks: Config) -> None:
    """Tables and figures tell tasks apart by name, and find published figures by counterpart."""
    with (SCHEMA.parents[1] / "published" / "deactivation.csv").open() as file:
        published = {row["task"] for row in csv.DictReader(file)}
    seen: dict[str, str] = {}
    for key, task in tasks.items():
        if other := seen.get(task["name"]):
            raise UserError(f"config: tasks: {other} and {key} have the same name, {task['name']!r}")
        seen[task["name"]] = key
        if task["counterpart"] is not None and task["counterpart"] not in published:
            raise UserError(
                f"config: tasks: {key}: counterpart: the paper has no task {task['counterpart']!r}; it has "
                f"{', '.join(sorted(published))}; write null for none"
            )


def _check_task(key: str, task: Config) -> None:
    where = f"config: tasks: {key}"
    if (task["metric"] == "accuracy") != ("labels" in task):
        raise UserError(f"{where}: metric {task['metric']!r} {'needs' if 'labels' not in task else 'takes no'} labels")
    if len(set(task.get("labels", {}).values())) < len(task.get("labels", {})):
        raise UserError(f"{where}: labels: two labels have the same word")
    try:
        columns = needed_columns(task)
    except ValueError as problem:
        raise UserError(f"{where}: prompt: {task['prompt']!r} is no template: {problem}") from problem
    if task["prompt"] != task["prompt"].rstrip():
        raise UserError(f"{where}: prompt: ends in white space; the target follows after one space anyway")
    source = task["source"]
    if "suite" in source:
        suite_task = SUITE.get(source["suite"])
        if suite_task is None:
            raise UserError(f"{where}: source: the suite has no task {source['suite']!r}; it has {', '.join(SUITE)}")
        check_columns([*suite_task.columns, suite_task.answer], columns, f"{where}: the suite's task")
    if "local" in source:
        for split in source["splits"].values():
            try:
                file = local_file(source["local"]["path"], split)
            except UserError as problem:
                raise UserError(f"{where}: {problem}") from problem
            present = file_columns(file)
            if present is not None:
                check_columns(present, columns, f"{where}: {file}")


def _check_model(source: Config, tuned: bool) -> None:
    if "path" in source:
        file = Path(source["path"]) / "config.json"
        if not file.is_file():
            raise UserError(
                f"config: model: source: path: {source['path']} holds no config.json "
                "(a relative path is looked up in the folder of --config data_root=FOLDER, without it from here)"
            )
        family = json.loads(file.read_text()).get("model_type")
    elif "gguf" in source:
        family = gguf_family(Path(source["gguf"]))
    elif "pretrain" in source:
        _check_architecture(source["pretrain"]["architecture"])
        return
    else:
        return  # on the hub: the import step looks at the family before it downloads the weights
    if feed_forward(str(family)).experts and tuned:
        raise UserError(
            f"config: neuron_tuning: is not available for mixtures of experts ({family}): set neuron_tuning: null"
        )


def _check_architecture(architecture: Config) -> None:
    size, heads = architecture["hidden_size"], architecture["num_attention_heads"]
    if size % (2 * heads):
        raise UserError(
            f"config: model: source: pretrain: architecture: hidden_size {size} is not a multiple of twice "
            f"num_attention_heads ({heads}): a head's width must be an even whole number"
        )


def gguf_family(path: Path) -> str:
    """The family of the architecture in a GGUF file's first entry (reading the whole header would take seconds).

    Raises:
        UserError: the file is absent or no GGUF file.
    """
    if not path.is_file():
        raise UserError(f"the GGUF file {path} does not exist (for the SmolLM2 preset, `make weights` fetches it)")
    with path.open("rb") as file:
        head = file.read(4 + 4 + 8 + 8)  # magic, version, number of tensors, number of entries
        if head[:4] != b"GGUF":
            raise UserError(f"{path} is not a GGUF file")
        key = _gguf_string(file)
        file.read(4)  # the value's type: a string
        value = _gguf_string(file)
    return GGUF_FAMILIES.get(value, value) if key == "general.architecture" else "unknown"


def _gguf_string(file: Any) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    return file.read(min(length, 1000)).decode(errors="replace")


def _check_groups(groups: Config, tasks: Config) -> None:
    for group, members in groups.items():
        if both := set(members["train"]) & set(members["test"]):
            raise UserError(f"config: overlap: groups: {group}: {', '.join(sorted(both))} is in both train and test")
        for side in ("train", "test"):
            for task in members[side]:
                if task not in tasks:
                    raise UserError(
                        f"config: overlap: groups: {group}: {side}: there is no task {task!r}; "
                        f"there are {', '.join(tasks)}"
                    )


def _check_comparisons(config: Config) -> None:
    choices = {"faithfulness": config["faithfulness"]}
    trainings = {"training": config["training"]}
    if "neuron_tuning" in config:
        choices["neuron_tuning: proportions"] = config["neuron_tuning"]["proportions"]
        trainings["neuron_tuning: training"] = config["neuron_tuning"]["training"]
    for where, settings in choices.items():
        for task in some_tasks(config, settings["tasks"]):
            if task not in config["tasks"]:
                raise UserError(
                    f"config: {where}: tasks: there is no task {task!r}; there are {', '.join(config['tasks'])}"
                )
    for where, training in trainings.items():
        if training["patience"] and not training["validation"]:
            raise UserError(
                f"config: {where}: patience: {training['patience']} epochs without a better validation loss cannot be "
                "seen with validation: 0; say on how many validation examples a task the loss is measured"
            )
        for key, task in config["tasks"].items():
            number = task.get("sizes", config["data"]["sizes"])["validation"]
            if training["validation"] > number:
                raise UserError(
                    f"config: {where}: validation: {training['validation']} is more than the {number} validation "
                    f"examples of {key} (data.sizes)"
                )
    fewest = min(config["stability"]["sizes"])
    for key, task in config["tasks"].items():
        number = task.get("sizes", config["data"]["sizes"])["attribution"]
        if 2 * fewest > number:
            raise UserError(
                f"config: stability: sizes: two disjoint sets of {fewest} examples need more than the {number} "
                f"attribution examples of {key}: add a smaller size"
            )
    rules = config["damage"]["rules"]
    if set(rules) <= {"random"}:
        raise UserError("config: damage: rules: give at least one rule beside random, to be compared with it")
    for rule, percents in config["damage"]["scored"].items():
        for k in percents:
            if k not in rules.get(rule, []):
                raise UserError(f"config: damage: scored: {rule} {k:g} is not among damage.rules: add it there too")


def some_tasks(config: Config, chosen: str | list[str]) -> list[str]:
    """The keys of the tasks that a setting chooses: a list, or "all"."""
    return list(config["tasks"]) if chosen == "all" else list(chosen)


def data_settings(task: Config, split: str) -> Config:
    """What the preparation of one split of a task needs of its config entry: nothing that is only shown."""
    settings = {key: task[key] for key in ("source", "prompt", "target", "metric")}
    if "splits" in task["source"]:
        splits = {name: task["source"]["splits"][name] for name in SOURCE_SPLITS[split]}
        settings["source"] = {**task["source"], "splits": splits}
    return {**settings, "labels": task.get("labels")}


def needed_sizes(task: Config, split: str, sizes: dict[str, int]) -> dict[str, int]:
    """The size of a split and, for a hub or local source, of those that are filled before it."""
    if "suite" in task["source"]:
        return {split: sizes[split]}
    order = list(SOURCE_SPLITS)
    return {name: sizes[name] for name in order[: order.index(split) + 1]}


def shown_tasks(config: Config, fields: tuple[str, ...]) -> Config:
    """Some fields of every task (name, family, metric, counterpart), for the tables that show or use them."""
    return {key: {field: task[field] for field in fields} for key, task in config["tasks"].items()}
