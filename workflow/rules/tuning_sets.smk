# Which sets neuron tuning trains, and which deltas are evaluated.

TUNING_DRAWS = range(TUNING.random_draws)
PROPORTION_TASKS = some_tasks(CONFIG, TUNING.proportions.tasks)

# The sets that each task's data train: its own neurons, with cross training those of every task, and random ones.
TRAINED_TASKS = TASKS if TUNING.cross_training else ["{task}"]
TRAINED_SETS = [f"{task}{K}" for task in TRAINED_TASKS] + [f"random{K}-draw{draw}" for draw in TUNING_DRAWS]

# A task's own neurons at selection.k are trained there, so that the proportions need only the other k, unless their
# seeds are others.
SHARED = set(TUNING.proportions.seeds) <= set(TUNING.training.seeds)
OTHER_PERCENTS = [k for k in TUNING.proportions.percents if not (SHARED and percent_text(k) == K)]


def tuned_masks(task):
    """The sets of the base model that a task's data train."""
    own = [own_mask("base", one) for one in (TASKS if TUNING.cross_training else [task])]
    return own + random_masks("base", task, [CONFIG.selection.k], TUNING_DRAWS)


def tuning_spec(seed):
    """The spec of a training of neurons."""
    training = loop_settings(TUNING.training)
    return spec("tuning.tune", training=training, seed=int(seed), compute=compute("tuning"))


def deltas_to_evaluate(task, seed):
    """The deltas that are tested on a task: all that its data trained, and the other tasks' own ones."""
    own = [f"<results>/deltas/{task}-seed{seed}/{name.format(task=task)}.safetensors" for name in TRAINED_SETS]
    return own + [f"<results>/deltas/{one}-seed{seed}/{one}{K}.safetensors" for one in TASKS if one != task]


def proportion_deltas(task, seed):
    """The deltas of a task's own neurons at every proportion."""
    others = [percent_text(k) for k in OTHER_PERCENTS]
    folders = {k: "-proportions" if k in others else "" for k in map(percent_text, TUNING.proportions.percents)}
    return [f"<results>/deltas/{task}{folder}-seed{seed}/{task}{k}.safetensors" for k, folder in folders.items()]
