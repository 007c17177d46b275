rule activations:
    """Forward-only values of all neurons on one task, for the selection rules that compare them."""
    input:
        model="<results>/models/{state}",
        data="<results>/data/{task}/attribution.parquet",
    output:
        "<results>/activations/{state}/{task}.parquet",
    log:
        "<results>/logs/activations/{state}-{task}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["inference_threads"]
    params:
        spec=spec(
            "activations",
            criteria=COMPARED_ACTIVATIONS,
            attribution=scoring_settings("batch_size", "batch_tokens"),
            compute=compute("inference"),
        ),
    shell:
        "python -m taskneurons.activations --spec {params.spec:q} --model {input.model} --data {input.data}"
        " --out {output} --log {log}"


rule comparative_selection:
    """One task's neurons by every rule and k of the damage table."""
    input:
        scores=expand("<results>/scores/{{state}}/{task}.parquet", task=TASKS),
        activations=expand("<results>/activations/{{state}}/{task}.parquet", task=TASKS) if COMPARED_ACTIVATIONS else [],
    output:
        [f"<results>/masks/{{state}}/{{task}}/{name}.parquet" for name in COMPARED_SETS],
    log:
        "<results>/logs/selection/{state}-{task}-compared.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec(
            "comparative_selection",
            rules={rule: percents for rule, percents in CONFIG["damage"]["rules"].items() if rule != "random"},
            families={task: entry["family"] for task, entry in CONFIG["tasks"].items()},
            scope=CONFIG["selection"]["scope"],
            core_share=CONFIG["selection"]["core_share"],
        ),
    shell:
        "python -m taskneurons.comparative_selection --spec {params.spec:q} --task {wildcards.task}"
        " --scores {input.scores} --activations {input.activations} --out {output} --log {log}"


rule damage:
    """One task's loss, and score where asked for, with every compared set switched off."""
    input:
        model="<results>/models/{state}",
        data="<results>/data/{task}/test.parquet",
        masks=lambda w: compared_masks(w.state, w.task),
    output:
        "<results>/damage/{state}/{task}.parquet",
    log:
        "<results>/logs/damage/{state}-{task}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["inference_threads"]
    params:
        spec=damage_spec(),
    shell:
        "python -m taskneurons.damage --spec {params.spec:q} --model {input.model} --data {input.data}"
        " --masks {input.masks} --out {output} --log {log}"


rule table_selection_damage:
    """Damage to the own task, its family and the other tasks, by selection rule and k."""
    input:
        damage=expand("<results>/damage/{state}/{task}.parquet", state=ORIGINALS[0], task=TASKS),
        predictions=predictions(ORIGINALS[:1]),
    output:
        parquet="<results>/tables/selection_damage.parquet",
        csv=report("<results>/tables/selection_damage.csv", caption="../report/selection_damage.rst", category="Tables"),
    log:
        "<results>/logs/tables/selection_damage.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec(
            "selection_damage",
            "name",
            "family",
            k=CONFIG["selection"]["k"],
            scope=CONFIG["selection"]["scope"],
            cross_task_examples=CONFIG["evaluation"]["cross_task_examples"],
            scored_examples=CONFIG["damage"]["scored_examples"],
        ),
    shell:
        "python -m taskneurons.tables.selection_damage --spec {params.spec:q}"
        " --damage {input.damage} --predictions {input.predictions}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"
