# Which sets neuron tuning trains, and which deltas are evaluated.

TUNING_DRAWS = range(TUNING.random_draws)
FIRST_DRAW = TUNING_DRAWS[:1]
RATE_TASKS = some_tasks(CONFIG, TUNING.rates.tasks)
TUNING_SEEDS = TUNING.training.seeds


def other_family(task):
    """The next task, in the config's order and around its end, that is of another family; None if there is none."""
    place = TASKS.index(task)
    others = [one for one in TASKS[place:] + TASKS[:place] if family_of(one) != family_of(task)]
    return others[0] if others else None


def family_of(task):
    return RUN.tasks[task].shown["family"]


def compared_mask(rule, task, k):
    return f"<results>/masks/{BASE_SCORED}/{task}/{rule}{percent_text(k)}.parquet"


# Kind of set → the masks of it that a task's data train, of a k and of some draws. A kind that needs several tasks, or
# several families, is left out where there is one.
SETS = {
    "own": lambda task, k, draws: [own_mask(BASE_SCORED, task, k)],
    "contrastive": lambda task, k, draws: [compared_mask("contrastive", task, k)],
    "random": lambda task, k, draws: matched_masks(BASE_SCORED, task, [k], draws),
    "other-family": lambda task, k, draws: [own_mask(BASE_SCORED, other_family(task), k)],
    "without-universal": lambda task, k, draws: [compared_mask("without-universal", task, k)],
}
if len(TASKS) == 1:
    SETS = {kind: SETS[kind] for kind in ("own", "random")}
elif other_family(TASKS[0]) is None:
    del SETS["other-family"]
BUDGET_KINDS = [kind for kind in ("own", "contrastive", "random") if kind in SETS]


def masks_of(kind, percents=(CONFIG.selection.k,), draws=TUNING_DRAWS):
    """An input function: the masks of a kind of set that a task's data train."""
    return lambda w: [mask for k in percents for mask in SETS[kind](w.task, k, draws)]


def by_keyword(kinds, **chosen):
    """Keyword of an input → the masks of that kind."""
    return {kind.replace("-", "_"): masks_of(kind, **chosen) for kind in kinds}


# The names of what each task's data train, which `tuning/tune.py` gives too. With cross training they train every task's
# own neurons; the task's own are trained once.
NAMES_OF_SETS = [f"{kind}{K}" for kind in SETS if kind != "random"] + [f"random{K}-draw{draw}" for draw in TUNING_DRAWS]
TRAINED_SETS = [f"{name}-{rate}" for name in NAMES_OF_SETS for rate in ("tuned", "common")]
CROSSED_SETS = {task: f"crossed-{task}{K}-tuned" for task in TASKS if TUNING.cross_training}

# A task's own neurons at selection.k are trained there, so that the proportions need only the other k, unless their
# seeds are others.
PROPORTIONS = TUNING.proportions
PROPORTION_TASKS = some_tasks(CONFIG, PROPORTIONS.tasks) if PROPORTIONS else []
SHARED = PROPORTIONS is not None and set(PROPORTIONS.seeds) <= set(TUNING_SEEDS)
OTHER_PERCENTS = [k for k in (PROPORTIONS.percents if PROPORTIONS else []) if not (SHARED and percent_text(k) == K)]

# So do the budgets, whose seeds are the same.
BUDGET_TASKS = some_tasks(CONFIG, TUNING.budgets.tasks) if TUNING.budgets else []
BUDGET_PERCENTS = [k for k in (TUNING.budgets.percents if TUNING.budgets else []) if percent_text(k) != K]


def rate_files(kinds):
    """The learning rates that were chosen for some kinds of sets."""
    return [f"<results>/rates/{kind}.parquet" for kind in kinds]


def tuning_spec(seed, common=None):
    """The spec of a training of neurons; without a common rate, at the chosen ones alone."""
    return spec(
        "tuning.tune",
        training=loop_settings(TUNING.training, types.TuningLoop),
        common=common,
        examples=TUNING.examples,
        curve=TUNING.curve,
        seed=int(seed),
        compute=compute("tuning"),
    )


def deltas_to_evaluate(task, seed):
    """The deltas that are tested on a task: all that its data trained, and the other tasks' own ones."""
    names = TRAINED_SETS + [name for one, name in CROSSED_SETS.items() if one != task]
    own = [f"<results>/deltas/{task}-seed{seed}/{name}.safetensors" for name in names]
    return own + [f"<results>/deltas/{one}-seed{seed}/own{K}-tuned.safetensors" for one in TASKS if one != task]


def proportion_deltas(task, seed):
    """The deltas of a task's own neurons at every proportion."""
    others = [percent_text(k) for k in OTHER_PERCENTS]
    folders = {k: "-proportions" if k in others else "" for k in map(percent_text, PROPORTIONS.percents)}
    return [f"<results>/deltas/{task}{folder}-seed{seed}/own{k}-tuned.safetensors" for k, folder in folders.items()]
