rule deactivation:
    """An original on one task: as it is, and with each task's and each random set of neurons switched off."""
    input:
        model="<results>/models/{model}",
        data="<results>/data/{task}/test.parquet",
        masks=lambda w: masks_to_switch_off(w.model, w.task),
        means=lambda w: means_file(w.model, CONFIG.ablation == "mean"),
    output:
        predictions="<results>/predictions/{model}/{task}.parquet",
    log:
        "<results>/logs/deactivation/{model}-{task}.log",
    wildcard_constraints:
        model=r"multitask-seed\d+",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: spec(
            "deactivation.evaluate",
            evaluation=evaluation_settings(w.task, types.EvaluationSection),
            tasks=TASKS,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule damage:
    """One task's loss, and score where asked for, with every compared set switched off."""
    input:
        model="<results>/models/{model}",
        data="<results>/data/{task}/test.parquet",
        masks=lambda w: compared_masks(w.model, w.task),
        means=lambda w: means_file(w.model, CONFIG.ablation == "mean"),
    output:
        damage="<results>/damage/{model}/{task}.parquet",
    log:
        "<results>/logs/damage/{model}-{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: spec(
            "deactivation.damage",
            damage=part(CONFIG.damage, types.DamageExamples),
            ablations=[CONFIG.ablation],
            lossless=lossless_sets(),
            evaluation=evaluation_settings(w.task, types.Evaluation),
            batch_tokens=CONFIG.attribution.batch_tokens,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule faithfulness:
    """Every criterion and the exact effect of switching off single neurons, of one model on one task."""
    input:
        model="<results>/models/{model}",
        data="<results>/data/{task}/attribution.parquet",
        means=lambda w: means_file(w.model, CONFIG.ablation == "mean"),
    output:
        faithfulness="<results>/faithfulness/{model}/{task}.parquet",
    log:
        "<results>/logs/faithfulness/{model}-{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "deactivation.faithfulness",
            *(module_of("attribution.criteria", criterion) for criterion in names("attribution.criteria")),
            faithfulness=part(CONFIG.faithfulness, types.Sampling),
            attribution=part(CONFIG.attribution, types.Scoring).model_copy(update={"reference": CONFIG.ablation}),
            criteria=names("attribution.criteria"),
            seed=CONFIG.seed,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule set_effects:
    """What growing sets of neurons do together to one task of the first original, and what their scores predict."""
    input:
        model=f"<results>/models/{ORIGINALS[0]}",
        data="<results>/data/{task}/test.parquet",
        scores=scores_by("zero"),
        scores_from_mean=scores_by("mean"),
        means=means_file(ORIGINALS[0], True),
    output:
        set_effects=f"<results>/set_effects/{ORIGINALS[0]}/{{task}}.parquet",
    log:
        f"<results>/logs/set_effects/{ORIGINALS[0]}-{{task}}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: task_sets_spec(
            "deactivation.set_effects",
            w.task,
            set_faithfulness=part(CONFIG.set_faithfulness, types.SetSizes),
            passes=part(CONFIG.attribution, types.Passes),
            seed=CONFIG.seed,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
