import json
import os
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
LIBRARY = ROOT / "workflow"

# Steps run as `python -m taskneurons.<step>`: with this Snakemake's own Python, which need not be the first on the
# PATH (.venv/bin/snakemake works without activating .venv), and with this library. A conda environment, where one is
# used, comes before both.
sys.path.insert(0, str(LIBRARY))
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]),
    PYTHONPATH=os.pathsep.join(filter(None, [str(LIBRARY), os.getenv("PYTHONPATH", "")])),
)

# How long a thread that waits for another spins before it sleeps. With the usual count a training step of the embedded
# model was 25 times slower beside one busy process on two cores; with this one 3 times, and 10 % slower on idle cores.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# glibc gives freed memory back to the system, and a training step asks for it anew: 5 % of the time. It may keep a little.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(32 * 2**20))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(256 * 2**20))

from taskneurons.core.code_identity import code_identity
from taskneurons.checks.config import checked_config, data_settings, needed_sizes, shown_tasks, some_tasks
from taskneurons.data.files import local_file
from taskneurons.core.errors import UserError
from taskneurons.selection.comparison import RULES
from taskneurons.data.splits import SOURCE_SPLITS

try:
    CONFIG = checked_config(config, ROOT)
except UserError as problem:
    raise WorkflowError(str(problem)) from None

STARTED = time.time()
TASKS = list(CONFIG["tasks"])
ORIGINALS = [f"multitask-seed{seed}" for seed in CONFIG["training"]["seeds"]]
DRAWS = list(range(CONFIG["selection"]["random_draws"]))
K = f"{CONFIG['selection']['k']:g}"

# Where trainings keep their state to go on after a kill: no output of a rule, which Snakemake would delete then.
CHECKPOINTS = f"results/{CONFIG['run']}/checkpoints"

TUNING = CONFIG.get("neuron_tuning")  # None where the config leaves it out

# The sets that the damage table compares: of each task by every rule and k, and random ones.
DAMAGE_RULES = CONFIG["damage"]["rules"]
COMPARED_SETS = [f"{rule}{k:g}" for rule, percents in DAMAGE_RULES.items() if rule != "random" for k in percents]
COMPARED_ACTIVATIONS = sorted({RULES[rule][1] for rule in DAMAGE_RULES if rule != "random"} - {"score"})


# What the report shows, in its order. A figure has its table's name and caption.
REPORT_TABLES = [
    "deactivation",
    "deactivation_means",
    "deactivation_effect",
    "neuron_tuning",
    "neuron_tuning_means",
    "neuron_tuning_effect",
    "specificity",
    "cross_task_deactivation",
    "cross_task_tuning",
    "single_task_proportion",
    "overlap_rate",
    "jaccard",
    "neurons_per_layer",
    "selection_damage",
    "faithfulness",
    "stability",
    "zero_shot",
]
TUNING_TABLES = [
    "neuron_tuning",
    "neuron_tuning_means",
    "neuron_tuning_effect",
    "cross_task_tuning",
    "single_task_proportion",
]
REPORT_FIGURES = [
    "deactivation",
    "neuron_tuning",
    "cross_task_deactivation",
    "cross_task_tuning",
    "single_task_proportion",
    "jaccard",
    "neurons_per_layer",
    "selection_damage",
    "faithfulness",
    "stability",
]
if not TUNING:
    REPORT_TABLES = [name for name in REPORT_TABLES if name not in TUNING_TABLES]
    REPORT_FIGURES = [name for name in REPORT_FIGURES if name not in TUNING_TABLES]


wildcard_constraints:
    task="|".join(TASKS),
    owner="|".join([*TASKS, "random"]),
    state=r"base|multitask-seed\d+",
    seed=r"\d+",
    draw=r"\d+",
    k=r"[0-9.]+",


def spec(step, **settings):
    """All that a step's result depends on besides its input files, as one JSON text, for `params: spec=`.

    Snakemake compares params as a set of texts, so only what is in one text is surely seen to change.
    """
    code = code_identity(LIBRARY, f"taskneurons.{step}")
    return json.dumps({"step": step, "code": code, **settings})


def compute(kind):
    """The compute settings of a step; kind is "training", "tuning" or "inference". Threads never come from --cores."""
    settings = CONFIG["compute"]
    weights = "float32" if kind == "training" else settings["frozen_weights"]
    threads = settings[f"{kind}_threads"]
    return {"device": settings["device"], "dtype": settings["dtype"], "weights": weights, "threads": threads}


def training_settings(settings):
    """The settings of a training, by one of the config's training entries."""
    settings = {key: value for key, value in settings.items() if key != "seeds"}
    passes = CONFIG["compute"]
    return {
        **settings,
        "batch_tokens": passes["training_batch_tokens"],
        "gradient_checkpointing": passes["gradient_checkpointing"],
    }


def validation_data(tasks, settings):
    """The validation splits of some tasks, if a training looks at them."""
    return [f"<results>/data/{task}/validation.parquet" for task in tasks] if settings["validation"] else []


def attribution_spec(step):
    """The spec of the scoring of a task, whole or in shards."""
    return spec(
        step,
        attribution={key: value for key, value in CONFIG["attribution"].items() if key != "model"},
        stability={key: CONFIG["stability"][key] for key in ("sizes", "repeats")},
        seed=CONFIG["seed"],
        compute=compute("inference"),
    )


def scoring_settings(*keys):
    """Some settings of the attribution, for the steps that compare its scores."""
    return {key: CONFIG["attribution"][key] for key in keys}


def scored_state(original):
    """The model that scores the neurons which are switched off in an original."""
    return original if CONFIG["attribution"]["model"] == "multitask" else "base"


def data_spec(task, split):
    """The spec of the preparation of one split of a task."""
    entry = CONFIG["tasks"][task]
    return spec(
        "prepare_data",
        key=task,
        task=data_settings(entry, split),
        sizes=needed_sizes(entry, split, entry.get("sizes", CONFIG["data"]["sizes"])),
        tokens=entry.get("tokens", CONFIG["data"]["tokens"]),
        seed=CONFIG["seed"],
    )


def source_files(task, split):
    """The local files that a task's split is read from; none for the suite and the hub."""
    source = CONFIG["tasks"][task]["source"]
    if "local" not in source:
        return []
    return [str(local_file(source["local"]["path"], source["splits"][name])) for name in SOURCE_SPLITS[split]]


def base_model_files():
    """The local files that the base model is imported from; none if it comes from the hub."""
    source = CONFIG["model"]["source"]
    if "gguf" in source:
        return [source["gguf"]]
    if "path" in source:
        return sorted(str(file) for file in Path(source["path"]).iterdir() if file.is_file())
    return []


def predictions(states):
    """The prediction files of some states, task by task."""
    return [f"<results>/predictions/{state}/{task}.parquet" for state in states for task in TASKS]


def random_masks(state, task, percents, draws):
    """Random sets to compare a task's with: those of all tasks, or its own where they are matched in every layer."""
    owner = task if CONFIG["selection"]["random_scope"] == "per-layer" else "random"
    return [f"<results>/masks/{state}/{owner}/random{k}-seed{draw}.parquet" for k in percents for draw in draws]


def masks_to_switch_off(state, tested):
    """The sets that are switched off one after the other in a model; none in the base model (zero-shot)."""
    if state == "base":
        return []
    made_on = scored_state(state)
    own = [f"<results>/masks/{made_on}/{task}/top{K}.parquet" for task in TASKS]
    return own + random_masks(made_on, tested, [K], DRAWS)


def compared_masks(state, tested):
    """The masks of the damage table, made on the state that scores this one's neurons."""
    made_on = scored_state(state)
    compared = [f"<results>/masks/{made_on}/{task}/{name}.parquet" for task in TASKS for name in COMPARED_SETS]
    return compared + random_masks(made_on, tested, [f"{k:g}" for k in DAMAGE_RULES.get("random", [])], DRAWS)


def damage_spec():
    """The spec of the damage to a task."""
    settings = dict(CONFIG["damage"])
    del settings["rules"]  # the masks are the rules' results
    evaluation = {key: CONFIG["evaluation"][key] for key in ("batch_size", "label_score")}
    batch_tokens = CONFIG["attribution"]["batch_tokens"]
    return spec(
        "damage", damage=settings, evaluation=evaluation, batch_tokens=batch_tokens, compute=compute("inference")
    )


def faithfulness_tasks():
    """The tasks on which the criteria are held against exact effects."""
    return some_tasks(CONFIG, CONFIG["faithfulness"]["tasks"])


def evaluation_settings(task, crossed):
    """The settings of an evaluation: what concerns other tasks' sets or label words, only where there are any."""
    settings = dict(CONFIG["evaluation"])
    if not crossed:
        del settings["cross_task_examples"]
    if CONFIG["tasks"][task]["metric"] != "accuracy":
        del settings["label_score"]
    return settings


def evaluation_spec(state, task):
    """The spec of an evaluation of a model with sets switched off; of the base model as it is."""
    settings = evaluation_settings(task, crossed=state != "base")
    tasks = [] if state == "base" else TASKS
    return spec("evaluation", evaluation=settings, tasks=tasks, compute=compute("inference"))


def overlap_states():
    """The models whose scores the overlap rate compares."""
    return list(dict.fromkeys(scored_state(original) for original in ORIGINALS))


def score_table_spec(name, *fields, **settings):
    """The spec of a table of scores; `fields` are what it uses of every task's config entry."""
    return spec(f"tables.{name}", tasks=shown_tasks(CONFIG, fields), tables=CONFIG["tables"], **settings)


def task_masks():
    """The top-k masks of all tasks on the first original."""
    state = scored_state(ORIGINALS[0])
    return [f"<results>/masks/{state}/{task}/top{K}.parquet" for task in TASKS]


def report_settings():
    """The settings that a reader of the report needs to know, each with its value."""
    selection, attribution, sizes = CONFIG["selection"], CONFIG["attribution"], CONFIG["data"]["sizes"]
    settings = {
        "selected": f"top {K} % ({selection['scope']})",
        "scores": f"of the {attribution['model']} model, aggregation {attribution['aggregation']},"
        f" loss {attribution['loss']}",
        "examples a task": ", ".join(f"{sizes[name]} {name}" for name in ("train", "attribution", "test")),
        "trainings": len(ORIGINALS),
        "random sets": f"{len(DRAWS)} ({selection['random_scope']})",
    }
    if TUNING:
        settings["neuron tuning"] = (
            f"scores of the base model, {len(TUNING['training']['seeds'])} trainings of each set,"
            f" {TUNING['random_draws']} random sets"
        )
    return settings


def table(name):
    return f"<results>/tables/{name}.parquet"


def print_report_place():
    page = Path("results") / CONFIG["run"] / "report.html"
    if page.exists() and page.stat().st_mtime >= STARTED:
        print(f"\nThe report is at {page}\n", file=sys.stderr)
