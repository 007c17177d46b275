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
        spec=lambda w: tuning_spec(w.seed),
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
            spec=lambda w: tuning_spec(w.seed),
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
