if CONFIG["attribution"]["shards"] == 1:

    rule attribution:
        """Scores of all neurons on one task, and bootstrap replicates of them."""
        input:
            model="<results>/models/{state}",
            data="<results>/data/{task}/attribution.parquet",
        output:
            scores="<results>/scores/{state}/{task}.parquet",
            bootstrap="<results>/scores/{state}/{task}.bootstrap.parquet",
            subsets="<results>/scores/{state}/{task}.subsets.parquet",
        log:
            "<results>/logs/attribution/{state}-{task}.log",
        conda:
            "../../envs/taskneurons.yaml"
        threads: CONFIG["compute"]["inference_threads"]
        params:
            spec=attribution_spec("attribution"),
        shell:
            "python -m taskneurons.attribution --spec {params.spec:q} --model {input.model} --data {input.data}"
            " --scores {output.scores} --bootstrap {output.bootstrap} --subsets {output.subsets} --log {log}"

else:

    rule attribution_shard:
        """Sums over one shard of a task's attribution examples."""
        input:
            model="<results>/models/{state}",
            data="<results>/data/{task}/attribution.parquet",
        output:
            temp("<results>/scores/{state}/{task}/shard{shard}.parquet"),
        log:
            "<results>/logs/attribution/{state}-{task}-shard{shard}.log",
        conda:
            "../../envs/taskneurons.yaml"
        threads: CONFIG["compute"]["inference_threads"]
        params:
            spec=attribution_spec("attribution_shard"),
        shell:
            "python -m taskneurons.attribution_shard --spec {params.spec:q} --model {input.model} --data {input.data}"
            " --shard {wildcards.shard} --out {output} --log {log}"

    rule merge_attribution:
        """Scores of all neurons on one task, of the sums over its shards."""
        input:
            expand(
                "<results>/scores/{{state}}/{{task}}/shard{shard}.parquet",
                shard=range(CONFIG["attribution"]["shards"]),
            ),
        output:
            scores="<results>/scores/{state}/{task}.parquet",
            bootstrap="<results>/scores/{state}/{task}.bootstrap.parquet",
            subsets="<results>/scores/{state}/{task}.subsets.parquet",
        log:
            "<results>/logs/attribution/{state}-{task}.log",
        conda:
            "../../envs/taskneurons.yaml"
        params:
            spec=attribution_spec("merge_attribution"),
        shell:
            "python -m taskneurons.merge_attribution --spec {params.spec:q} --sums {input}"
            " --scores {output.scores} --bootstrap {output.bootstrap} --subsets {output.subsets} --log {log}"


rule table_stability:
    """How much the masks of disjoint sets of examples agree."""
    input:
        expand("<results>/scores/{state}/{task}.subsets.parquet", state=scored_state(ORIGINALS[0]), task=TASKS),
    output:
        parquet="<results>/tables/stability.parquet",
        csv=report("<results>/tables/stability.csv", caption="../report/stability.rst", category="Tables"),
    log:
        "<results>/logs/tables/stability.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec(
            "tables.stability",
            tasks=shown_tasks(CONFIG, ("name",)),
            k=CONFIG["selection"]["k"],
            scope=CONFIG["selection"]["scope"],
        ),
    shell:
        "python -m taskneurons.tables.stability --spec {params.spec:q} --subsets {input}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"
