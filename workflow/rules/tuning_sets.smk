# The sets that each task's data train: its own neurons, with cross training those of every task, and random ones.
TUNED_SETS = (TASKS if TUNING["cross_training"] else ["{task}"]) + [
    f"random{K}-seed{draw}" for draw in range(TUNING["random_draws"])
]
PROPORTIONS = [f"{k:g}" for k in TUNING["proportions"]["percents"]]
PROPORTION_TASKS = some_tasks(CONFIG, TUNING["proportions"]["tasks"])


def tuned_masks(task):
    """The sets of the base model that a task's data train, in the order of TUNED_SETS."""
    own = [f"<results>/masks/base/{one}/top{K}.parquet" for one in (TASKS if TUNING["cross_training"] else [task])]
    return own + random_masks("base", task, [K], range(TUNING["random_draws"]))


def tuning_spec(seed):
    """The spec of a neuron tuning."""
    training = training_settings(TUNING["training"])
    return spec("neuron_tuning", training=training, seed=int(seed), compute=compute("tuning"))


def deltas_to_evaluate(task, seed):
    """The deltas that are tested on a task: all that its data trained, and the other tasks' own ones."""
    own = [f"<results>/deltas/{task}-seed{seed}/{name.format(task=task)}.safetensors" for name in TUNED_SETS]
    return own + [f"<results>/deltas/{one}-seed{seed}/{one}.safetensors" for one in TASKS if one != task]


def tuned_evaluation_spec(task, named_by):
    """The spec of an evaluation of deltas, which are told apart by their set or by their k."""
    settings = evaluation_settings(task, crossed=named_by == "set")  # of several k all are the task's own
    return spec("tuned_evaluation", evaluation=settings, named_by=named_by, compute=compute("inference"))


def tuned_predictions():
    """The prediction files of neuron tuning, seed by seed and task by task."""
    seeds = TUNING["training"]["seeds"]
    return [f"<results>/predictions/neuron_tuning-seed{seed}/{task}.parquet" for seed in seeds for task in TASKS]
