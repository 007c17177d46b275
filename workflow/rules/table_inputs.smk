# What the tables are made of.

# Which files a kind of input is, by the names that `report/contents.py` uses; of all tasks unless the table says others.
INPUTS = {
    "original_predictions": lambda: predictions(ORIGINALS),
    "first_original_predictions": lambda: predictions(ORIGINALS[:1]),
    "base_predictions": lambda: predictions(["base"]),
    "masks": lambda: [own_mask(scored_of(ORIGINALS[0]), task) for task in TASKS],
    "scores": lambda: expand("<results>/scores/{scored}/{task}.parquet", scored=SCORED, task=TASKS),
    "score_replicates": lambda: expand("<results>/scores/{scored}/{task}.bootstrap.parquet", scored=SCORED, task=TASKS),
    "subset_scores": lambda: expand("<results>/scores/{scored}/{task}.subsets.parquet", scored=SCORED[0], task=TASKS),
    "damage": lambda: expand("<results>/damage/{model}/{task}.parquet", model=ORIGINALS[0], task=TASKS),
    "specificity": lambda: (
        expand("<results>/specificity/{model}/{task}.parquet", model=ORIGINALS[0], task=TASKS) if len(TASKS) > 1 else []
    ),
    "means": lambda: [f"<results>/means/{model_of(scored_of(ORIGINALS[0]))}.parquet"],
    "faithfulness": lambda: expand(
        "<results>/faithfulness/{model}/{task}.parquet",
        model=["base", ORIGINALS[0]],
        task=some_tasks(CONFIG, CONFIG.faithfulness.tasks),
    ),
    "set_effects": lambda: expand(
        "<results>/set_effects/{model}/{task}.parquet",
        model=ORIGINALS[0],
        task=some_tasks(CONFIG, CONFIG.set_faithfulness.tasks),
    ),
    "learning_rates": lambda: rate_files(SETS),
    "curves": lambda: [
        *expand("<results>/training/{task}-seed{seed}.curves.parquet", task=TASKS, seed=TUNING_SEEDS),
        *expand(
            "<results>/training/{task}-budgets-seed{seed}.curves.parquet",
            task=BUDGET_TASKS if BUDGET_PERCENTS else [],
            seed=TUNING_SEEDS,
        ),
    ],
    "tuned_predictions": lambda: predictions(f"neuron_tuning-seed{seed}" for seed in TUNING_SEEDS),
    "similarity": lambda: expand("<results>/similarity/{model}.parquet", model=map(single, TRAINING_TASKS)),
    "single_task_tested": lambda: expand(
        "<results>/generalisation/tested/{model}.parquet", model=map(single, TRAINING_TASKS)
    ),
    "proportion_predictions": lambda: expand(
        "<results>/predictions/proportions-seed{seed}/{task}.parquet",
        seed=PROPORTIONS.seeds,
        task=PROPORTION_TASKS,
    ),
    "proportion_sweeps": lambda: expand(
        "<results>/generalisation/proportions/{group}-seed{seed}.parquet", group=GROUPS.train, seed=SWEEP_SEEDS
    ),
    "overlap_ablations": lambda: expand(
        "<results>/generalisation/overlap/{pair}-{k}.parquet",
        pair=OVERLAP_PAIRS,
        k=map(percent_text, OVERLAPS.trained),
    ),
    "first_tuned_predictions": lambda: predictions([f"neuron_tuning-seed{TUNING_SEEDS[0]}"]),
    "base_masks": lambda: [own_mask(BASE_SCORED, task) for task in TASKS],
    "base_similarity": lambda: ["<results>/similarity/base.parquet"],
    "base_tested": lambda: ["<results>/generalisation/tested/base.parquet"],
    "tuned_tested": lambda: expand("<results>/generalisation/transfer/{task}.parquet", task=TASKS),
    "whole_tested": lambda: expand("<results>/generalisation/tested/{model}.parquet", model=map(single, WHOLE_TASKS)),
    "tuned_features": lambda: expand("<results>/generalisation/features/{task}.parquet", task=TASKS),
    "task_probes": lambda: expand("<results>/generalisation/probes/{task}.parquet", task=TASKS),
    "task_vectors": lambda: ["<results>/generalisation/task_vectors.parquet"],
    "continual_tests": lambda: ["<results>/continual/zero_shot.parquet", *stage_files("tested")],
    "continual_costs": lambda: cost_files(),
    "continual_tunings": lambda: [file for method in METHODS for file in tuned_files(method)],
}


def table(name):
    return f"<results>/tables/{name}.parquet"


def table_tasks(table):
    """The tasks that a table shows."""
    if any(kind.startswith("continual") for kind in table.inputs):
        return CONTINUAL_TASKS
    return PROPORTION_TASKS if "proportion_predictions" in table.inputs else TASKS


def table_inputs(table):
    """The files of a table by keyword."""
    found = {kind: INPUTS[kind]() for kind in table.inputs}
    if "proportion_predictions" in found:
        found["base_predictions"] = [f"<results>/predictions/base/{task}.parquet" for task in PROPORTION_TASKS]
    if table.published:
        found["published"] = own_file(f"published/{table.published}.csv")
    return found


CONFIG_VALUES = CONFIG.model_dump()


def config_value(key):
    """The value of a dotted key of the config, as JSON can hold it."""
    value = CONFIG_VALUES
    for part_of_key in key.split("."):
        value = value[part_of_key]
    return value


def table_spec(table):
    return spec(
        "tables.write",
        module_of("tables", table.name),
        table=table.name,
        tasks={key: {field: ALL_TASKS[key].shown[field] for field in table.fields} for key in table_tasks(table)},
        config={key: config_value(key) for key in table.config},
    )
