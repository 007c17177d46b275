rule rate_search:
    """The learning rate of a kind of set: the one with the lowest validation loss, mean over tasks, after training it."""
    input:
        base="<results>/models/base",
        data=expand("<results>/data/{task}/train.parquet", task=RATE_TASKS),
        validation=expand("<results>/data/{task}/validation.parquet", task=RATE_TASKS),
        masks=lambda w: [mask for task in RATE_TASKS for mask in SETS[w.kind](task, CONFIG.selection.k, FIRST_DRAW)],
    output:
        rates="<results>/rates/{kind}.parquet",
    log:
        "<results>/logs/rate_search/{kind}.log",
    wildcard_constraints:
        kind="|".join(SETS),
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.tuning_threads
    params:
        spec=lambda w: spec(
            "tuning.rate_search",
            kind=w.kind,
            training=loop_settings(TUNING.training, types.TuningLoop),
            rates=part(TUNING.rates, types.RateSearch),
            examples=TUNING.examples,
            seed=TUNING_SEEDS[0],
            compute=compute("tuning"),
        ),
        files=files(checkpoints=f"{CHECKPOINTS}/rates-{{kind}}"),
    shell:
        STEP


rule neuron_tuning:
    """One task's data train its own neurons of the base model, and the control sets, one set after the other."""
    input:
        **by_keyword(SETS),
        base="<results>/models/base",
        data="<results>/data/{task}/train.parquet",
        validation="<results>/data/{task}/validation.parquet",
        rates=rate_files(SETS),
        crossed=[own_mask(BASE_SCORED, one) for one in CROSSED_SETS],
    output:
        deltas=[
            f"<results>/deltas/{{task}}-seed{{seed}}/{name}.safetensors"
            for name in [*TRAINED_SETS, *CROSSED_SETS.values()]
        ],
        metrics="<results>/training/{task}-seed{seed}.parquet",
        curves="<results>/training/{task}-seed{seed}.curves.parquet",
    log:
        "<results>/logs/neuron_tuning/{task}-seed{seed}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.tuning_threads
    params:
        spec=lambda w: tuning_spec(w.seed, TUNING.rates.common),
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
            **by_keyword(["own"], percents=OTHER_PERCENTS),
            base="<results>/models/base",
            data="<results>/data/{task}/train.parquet",
            validation="<results>/data/{task}/validation.parquet",
            rates=rate_files(["own"]),
        output:
            deltas=expand(
                "<results>/deltas/{{task}}-proportions-seed{{seed}}/own{k}-tuned.safetensors",
                k=map(percent_text, OTHER_PERCENTS),
            ),
            metrics="<results>/training/{task}-proportions-seed{seed}.parquet",
            curves="<results>/training/{task}-proportions-seed{seed}.curves.parquet",
        log:
            "<results>/logs/neuron_tuning/{task}-proportions-seed{seed}.log",
        params:
            spec=lambda w: tuning_spec(w.seed),
            files=files(checkpoints=f"{CHECKPOINTS}/{{task}}-proportions-seed{{seed}}"),


if BUDGET_PERCENTS:

    # One task's data train own, contrastive and random neurons of other k; what is kept is how well they learn.
    use rule neuron_tuning as budget_tuning with:
        input:
            **by_keyword(BUDGET_KINDS, percents=BUDGET_PERCENTS),
            base="<results>/models/base",
            data="<results>/data/{task}/train.parquet",
            validation="<results>/data/{task}/validation.parquet",
            rates=rate_files(BUDGET_KINDS),
        output:
            deltas=[],
            metrics="<results>/training/{task}-budgets-seed{seed}.parquet",
            curves="<results>/training/{task}-budgets-seed{seed}.curves.parquet",
        log:
            "<results>/logs/neuron_tuning/{task}-budgets-seed{seed}.log",
        params:
            spec=lambda w: tuning_spec(w.seed, TUNING.rates.common),
            files=files(checkpoints=f"{CHECKPOINTS}/{{task}}-budgets-seed{{seed}}"),


if PROPORTIONS:

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
