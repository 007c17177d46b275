rule table_overlap_rate:
    """Table 8: overlap of the training tasks' neurons with the test tasks'."""
    input:
        scores=expand("<results>/scores/{state}/{task}.parquet", state=overlap_states(), task=TASKS),
        bootstrap=expand("<results>/scores/{state}/{task}.bootstrap.parquet", state=overlap_states(), task=TASKS),
        published="workflow/published/overlap_rate.csv",
    output:
        parquet="<results>/tables/overlap_rate.parquet",
        csv=report("<results>/tables/overlap_rate.csv", caption="../report/overlap_rate.rst", category="Tables"),
    log:
        "<results>/logs/tables/overlap_rate.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec(
            "tables.overlap_rate",
            overlap=CONFIG["overlap"],
            scope=CONFIG["selection"]["scope"],
            model=CONFIG["attribution"]["model"],
            tables=CONFIG["tables"],
        ),
    shell:
        "python -m taskneurons.tables.overlap_rate --spec {params.spec:q}"
        " --scores {input.scores} --bootstrap {input.bootstrap} --published {input.published}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"
