rule evaluation:
    """One model on one task: as it is, and with each task's and each random set of neurons switched off."""
    input:
        model="<results>/models/{state}",
        data="<results>/data/{task}/test.parquet",
        masks=lambda w: masks_to_switch_off(w.state, w.task),
    output:
        "<results>/predictions/{state}/{task}.parquet",
    log:
        "<results>/logs/evaluation/{state}-{task}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["inference_threads"]
    params:
        spec=lambda w: evaluation_spec(w.state, w.task),
    shell:
        "python -m taskneurons.evaluation --spec {params.spec:q}"
        " --model {input.model} --data {input.data} --masks {input.masks} --out {output} --log {log}"


rule table_deactivation:
    """Tables 1 and 6: every task with its own neurons off, with random ones off, and as it is."""
    input:
        predictions=predictions(ORIGINALS),
        published="workflow/published/deactivation.csv",
    output:
        parquet="<results>/tables/deactivation.parquet",
        csv=report("<results>/tables/deactivation.csv", caption="../report/deactivation.rst", category="Tables"),
    log:
        "<results>/logs/tables/deactivation.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("deactivation", "name", "metric", "counterpart", model=CONFIG["model"]["name"]),
    shell:
        "python -m taskneurons.tables.deactivation --spec {params.spec:q}"
        " --predictions {input.predictions} --published {input.published}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_deactivation_means:
    """The means of table_deactivation over classification and over generation."""
    input:
        predictions=predictions(ORIGINALS),
        published="workflow/published/deactivation.csv",
    output:
        parquet="<results>/tables/deactivation_means.parquet",
        csv=report(
            "<results>/tables/deactivation_means.csv", caption="../report/deactivation_means.rst", category="Tables"
        ),
    log:
        "<results>/logs/tables/deactivation_means.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("deactivation_means", "metric", "counterpart", model=CONFIG["model"]["name"]),
    shell:
        "python -m taskneurons.tables.deactivation_means --spec {params.spec:q}"
        " --predictions {input.predictions} --published {input.published}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_deactivation_effect:
    """How much more a task's own neurons matter than random ones."""
    input:
        predictions=predictions(ORIGINALS),
    output:
        parquet="<results>/tables/deactivation_effect.parquet",
        csv=report(
            "<results>/tables/deactivation_effect.csv", caption="../report/deactivation_effect.rst", category="Tables"
        ),
    log:
        "<results>/logs/tables/deactivation_effect.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("deactivation_effect", "name", "metric"),
    shell:
        "python -m taskneurons.tables.deactivation_effect --spec {params.spec:q}"
        " --predictions {input.predictions}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_zero_shot:
    """The base model as it is, before any fine-tuning."""
    input:
        predictions=predictions(["base"]),
        published="workflow/published/neuron_tuning.csv",
    output:
        parquet="<results>/tables/zero_shot.parquet",
        csv=report("<results>/tables/zero_shot.csv", caption="../report/zero_shot.rst", category="Tables"),
    log:
        "<results>/logs/tables/zero_shot.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("zero_shot", "name", "metric", "counterpart", model=CONFIG["model"]["name"]),
    shell:
        "python -m taskneurons.tables.zero_shot --spec {params.spec:q}"
        " --predictions {input.predictions} --published {input.published}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_cross_task_deactivation:
    """Figure 5: every task with every task's neurons off."""
    input:
        predictions=predictions(ORIGINALS),
    output:
        parquet="<results>/tables/cross_task_deactivation.parquet",
        csv=report(
            "<results>/tables/cross_task_deactivation.csv",
            caption="../report/cross_task_deactivation.rst",
            category="Tables",
        ),
    log:
        "<results>/logs/tables/cross_task_deactivation.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec(
            "cross_task_deactivation",
            "name",
            "metric",
            cross_task_examples=CONFIG["evaluation"]["cross_task_examples"],
        ),
    shell:
        "python -m taskneurons.tables.cross_task_deactivation --spec {params.spec:q}"
        " --predictions {input.predictions}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_specificity:
    """A task's own neurons against other tasks' neurons, within its family and outside."""
    input:
        predictions=predictions(ORIGINALS),
    output:
        parquet="<results>/tables/specificity.parquet",
        csv=report("<results>/tables/specificity.csv", caption="../report/specificity.rst", category="Tables"),
    log:
        "<results>/logs/tables/specificity.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec(
            "specificity", "name", "family", cross_task_examples=CONFIG["evaluation"]["cross_task_examples"]
        ),
    shell:
        "python -m taskneurons.tables.specificity --spec {params.spec:q}"
        " --predictions {input.predictions}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"
