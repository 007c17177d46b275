K = percent_text(CONFIG.selection.k)
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


def deltas_to_evaluate(task, seed):
    """The deltas that are tested on a task: all that its data trained, and the other tasks' own ones."""
    own = [f"<results>/deltas/{task}-seed{seed}/{name.format(task=task)}.safetensors" for name in TRAINED_SETS]
    return own + [f"<results>/deltas/{one}-seed{seed}/{one}{K}.safetensors" for one in TASKS if one != task]


def proportion_deltas(task, seed):
    """The deltas of a task's own neurons at every proportion."""
    others = [percent_text(k) for k in OTHER_PERCENTS]
    folders = {k: "-proportions" if k in others else "" for k in map(percent_text, TUNING.proportions.percents)}
    return [f"<results>/deltas/{task}{folder}-seed{seed}/{task}{k}.safetensors" for k, folder in folders.items()]


rule neuron_tuning:
    """One task's data train its own neurons of the base model, and as many random ones, one set after the other."""
    input:
        base="<results>/models/base",
        data="<results>/data/{task}/train.parquet",
        validation=lambda w: validation_data([w.task], TUNING.training),
        masks=lambda w: tuned_masks(w.task),
    output:
        deltas=[f"<results>/deltas/{{task}}-seed{{seed}}/{name}.safetensors" for name in TRAINED_SETS],
        metrics="<results>/training/{task}-seed{seed}.parquet",
    log:
        "<results>/logs/neuron_tuning/{task}-seed{seed}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.tuning_threads
    params:
        spec=lambda w: spec(
            "tuning.tune", training=loop_settings(TUNING.training), seed=int(w.seed), compute=compute("tuning")
        ),
        files=files(checkpoints=f"{CHECKPOINTS}/{{task}}-seed{{seed}}"),
    shell:
        STEP


rule tuned_evaluation:
    """One task with its own deltas in the base model, and with those of the other tasks' neurons."""
    input:
        base="<results>/models/base",
        data="<results>/data/{task}/test.parquet",
        deltas=lambda w: deltas_to_evaluate(w.task, w.seed),
    output:
        predictions="<results>/predictions/neuron_tuning-seed{seed}/{task}.parquet",
    log:
        "<results>/logs/tuned_evaluation/{task}-seed{seed}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: spec(
            "tuning.evaluate",
            evaluation=evaluation_settings(w.task, types.EvaluationSection),
            named_by="set",
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


if OTHER_PERCENTS:

    # One task's data train growing proportions of its own neurons, each from the base model.
    use rule neuron_tuning as proportion_tuning with:
        input:
            base="<results>/models/base",
            data="<results>/data/{task}/train.parquet",
            validation=lambda w: validation_data([w.task], TUNING.training),
            masks=lambda w: [own_mask("base", w.task, k) for k in OTHER_PERCENTS],
        output:
            deltas=expand(
                "<results>/deltas/{{task}}-proportions-seed{{seed}}/{{task}}{k}.safetensors",
                k=map(percent_text, OTHER_PERCENTS),
            ),
            metrics="<results>/training/{task}-proportions-seed{seed}.parquet",
        log:
            "<results>/logs/neuron_tuning/{task}-proportions-seed{seed}.log",
        params:
            spec=lambda w: spec(
                "tuning.tune", training=loop_settings(TUNING.training), seed=int(w.seed), compute=compute("tuning")
            ),
            files=files(checkpoints=f"{CHECKPOINTS}/{{task}}-proportions-seed{{seed}}"),


# One task with each proportion of its own neurons trained.
use rule tuned_evaluation as proportion_evaluation with:
    input:
        base="<results>/models/base",
        data="<results>/data/{task}/test.parquet",
        deltas=lambda w: proportion_deltas(w.task, w.seed),
    output:
        predictions="<results>/predictions/proportions-seed{seed}/{task}.parquet",
    log:
        "<results>/logs/tuned_evaluation/{task}-proportions-seed{seed}.log",
    params:
        spec=lambda w: spec(
            "tuning.evaluate",
            # of several k all are the task's own: nothing is crossed
            evaluation=evaluation_settings(w.task, types.EvaluationSection, cross_task_examples=1),
            named_by="k",
            compute=compute("inference"),
        ),
        files=files(),
