rule faithfulness:
    """Every criterion and the exact effect of switching off single neurons, of one model on one task."""
    input:
        model="<results>/models/{state}",
        data="<results>/data/{task}/attribution.parquet",
    output:
        "<results>/faithfulness/{state}/{task}.parquet",
    log:
        "<results>/logs/faithfulness/{state}-{task}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["inference_threads"]
    params:
        spec=spec(
            "faithfulness",
            faithfulness={key: CONFIG["faithfulness"][key] for key in ("examples", "neurons", "layers", "steps")},
            attribution=scoring_settings("aggregation", "loss", "batch_size", "batch_tokens"),
            seed=CONFIG["seed"],
            compute=compute("inference"),
        ),
    shell:
        "python -m taskneurons.faithfulness --spec {params.spec:q} --model {input.model} --data {input.data}"
        " --out {output} --log {log}"


rule table_faithfulness:
    """Which criterion agrees best with the exact effects, before and after the fine-tuning."""
    input:
        expand("<results>/faithfulness/{state}/{task}.parquet", state=["base", ORIGINALS[0]], task=faithfulness_tasks()),
    output:
        parquet="<results>/tables/faithfulness.parquet",
        csv=report("<results>/tables/faithfulness.csv", caption="../report/faithfulness.rst", category="Tables"),
    log:
        "<results>/logs/tables/faithfulness.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("tables.faithfulness", tasks=shown_tasks(CONFIG, ("name",)), top=CONFIG["faithfulness"]["top"]),
    shell:
        "python -m taskneurons.tables.faithfulness --spec {params.spec:q} --comparisons {input}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"
