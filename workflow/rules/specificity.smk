rule own_damage:
    """A task's validation losses with its own sets off: by both rules, references and ablations, at every k of the grid."""
    input:
        model=f"<results>/models/{ORIGINALS[0]}",
        data="<results>/data/{task}/validation.parquet",
        scores=scores_by("zero"),
        scores_from_mean=scores_by("mean"),
        means=means_file(ORIGINALS[0], True),
    output:
        own_damage=f"<results>/own_damage/{ORIGINALS[0]}/{{task}}.parquet",
    log:
        f"<results>/logs/own_damage/{ORIGINALS[0]}-{{task}}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: task_sets_spec(
            "deactivation.own_damage",
            w.task,
            grid=sorted(CONFIG.specificity.grid),
            examples=CONFIG.damage.examples,
            passes=types.Passes(batch_size=CONFIG.evaluation.batch_size, batch_tokens=CONFIG.attribution.batch_tokens),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule equal_damage:
    """A task's sets of equal own damage, one a rule, reference and ablation."""
    input:
        own_damage=f"<results>/own_damage/{ORIGINALS[0]}/{{task}}.parquet",
        scores=scores_by("zero"),
        scores_from_mean=scores_by("mean"),
    output:
        masks=equal_masks("zero", "{task}") + equal_masks("zero", "{task}", "random-like-"),
        masks_from_mean=equal_masks("mean", "{task}") + equal_masks("mean", "{task}", "random-like-"),
    log:
        f"<results>/logs/equal_damage/{ORIGINALS[0]}-{{task}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        spec=lambda w: task_sets_spec("selection.equal_damage", w.task, seed=CONFIG.seed),
        files=files(),
    shell:
        STEP


use rule damage as specificity_damage with:
    input:
        model=f"<results>/models/{ORIGINALS[0]}",
        data="<results>/data/{task}/test.parquet",
        masks=lambda w: masks_of_specificity(w.task),
        means=means_file(ORIGINALS[0], True),
    output:
        damage=f"<results>/specificity/{ORIGINALS[0]}/{{task}}.parquet",
    log:
        f"<results>/logs/specificity_damage/{ORIGINALS[0]}-{{task}}.log",
    params:
        spec=lambda w: spec(
            "deactivation.damage",
            damage=types.DamageExamples(examples=CONFIG.damage.examples),
            ablations=list(REFERENCES),
            lossless={},
            evaluation=evaluation_settings(w.task, types.Evaluation, label_score="sum"),
            batch_tokens=CONFIG.attribution.batch_tokens,
            compute=compute("inference"),
        ),
        files=files(),
