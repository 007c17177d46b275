rule selection:
    """A task's neurons: the top k % by score."""
    input:
        "<results>/scores/{state}/{task}.parquet",
    output:
        "<results>/masks/{state}/{task}/top{k}.parquet",
    log:
        "<results>/logs/selection/{state}-{task}-top{k}.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=lambda w: spec("selection", k=float(w.k), scope=CONFIG["selection"]["scope"]),
    shell:
        "python -m taskneurons.selection --spec {params.spec:q} --scores {input} --out {output} --log {log}"


rule random_selection:
    """As many random neurons as a task has; in `random` those that serve all tasks, which have the same number."""
    input:
        lambda w: f"<results>/masks/{w.state}/{TASKS[0] if w.owner == 'random' else w.owner}/top{w.k}.parquet",
    output:
        "<results>/masks/{state}/{owner}/random{k}-seed{draw}.parquet",
    log:
        "<results>/logs/selection/{state}-{owner}-random{k}-seed{draw}.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=lambda w: spec(
            "random_selection",
            draw=int(w.draw),
            random_scope=CONFIG["selection"]["random_scope"],
            seed=CONFIG["seed"],
        ),
    shell:
        "python -m taskneurons.random_selection --spec {params.spec:q} --like {input} --out {output} --log {log}"


rule table_neurons_per_layer:
    """How many of each task's neurons every layer holds."""
    input:
        task_masks(),
    output:
        parquet="<results>/tables/neurons_per_layer.parquet",
        csv=report(
            "<results>/tables/neurons_per_layer.csv", caption="../report/neurons_per_layer.rst", category="Tables"
        ),
    log:
        "<results>/logs/tables/neurons_per_layer.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("tables.neurons_per_layer", tasks=shown_tasks(CONFIG, ("name",))),
    shell:
        "python -m taskneurons.tables.neurons_per_layer --spec {params.spec:q} --masks {input}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_jaccard:
    """How much the neurons of any two tasks overlap."""
    input:
        task_masks(),
    output:
        parquet="<results>/tables/jaccard.parquet",
        csv=report("<results>/tables/jaccard.csv", caption="../report/jaccard.rst", category="Tables"),
    log:
        "<results>/logs/tables/jaccard.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("tables.jaccard", tasks=shown_tasks(CONFIG, ("name",))),
    shell:
        "python -m taskneurons.tables.jaccard --spec {params.spec:q} --masks {input}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"
