# Which tasks, groups and models generalisation looks at, and which files they have.

TRAINING_TASKS = list(dict.fromkeys(task for tasks in CONFIG.groups.train.values() for task in tasks))
TEST_TASKS = list(dict.fromkeys(task for tasks in CONFIG.groups.test.values() for task in tasks))


def single(task):
    """The model that is fine-tuned on one task alone."""
    return f"single-{task}-seed{CONFIG.training.seeds[0]}"


# Model → the tasks i and j whose neurons' parameters are compared inside it.
COMPARED_TASKS = {"base": (TASKS, TASKS), **{single(task): ([task], TEST_TASKS) for task in TRAINING_TASKS}}

GROUPS = CONFIG.groups
SWEEP = GENERALISATION.proportions if GROUPS.train else None
OVERLAPS = GENERALISATION.overlap_ablation if GROUPS.train else None
SWEEP_SEEDS = SWEEP.seeds if SWEEP else []
OVERLAP_PAIRS = [] if OVERLAPS is None else list(GROUPS.pairs()) if OVERLAPS.pairs == "all" else OVERLAPS.pairs


def sides(pair):
    """A pair's training tasks, its test tasks, and those of the other test groups."""
    train, test = GROUPS.pairs()[pair]
    tested = GROUPS.test[test]
    return GROUPS.train[train], tested, [task for task in TEST_TASKS if task not in tested]


def group_spec(step, train, test, seed, **settings):
    """The spec of a training of a group."""
    settings = {
        "examples": GENERALISATION.examples,
        "scored_examples": GENERALISATION.scored_examples,
        **settings,
    }
    metrics = {RUN.tasks[task].shown["metric"] for task in test} if settings["scored_examples"] else set()
    evaluation = part(CONFIG.evaluation, types.Evaluation)
    return spec(
        f"generalisation.{step}",
        train=train,
        test=test,
        scope=CONFIG.selection.scope,
        training=loop_settings(TUNING.training, types.TuningLoop),
        train_examples=GENERALISATION.train_examples,
        # Without a task of labels no change of what concerns them counts.
        evaluation=evaluation if "accuracy" in metrics else evaluation.model_copy(update={"label_score": "sum"}),
        batch_tokens=CONFIG.attribution.batch_tokens,
        seed=seed,
        compute=compute("tuning"),
        **settings,
    )


def sweep_spec(step, group, test, seed, **settings):
    """The spec of trainings of a group's proportions."""
    sweep = {"group": group, "percents": SWEEP.percents, "reading": SWEEP.reading}
    return group_spec(step, GROUPS.train[group], test, seed, **sweep, **settings)


def sweep_tasks(group):
    """The tasks on which a trained group is tested: its own, and those of all test groups."""
    return [*GROUPS.train[group], *TEST_TASKS]
