rule attribution:
    """Scores of all neurons on one task, and bootstrap replicates of them."""
    input:
        model="<results>/models/{state}",
        data="<results>/data/{task}/attribution.parquet",
    output:
        scores="<results>/scores/{state}/{task}.parquet",
        bootstrap="<results>/scores/{state}/{task}.bootstrap.parquet",
    log:
        "<results>/logs/attribution/{state}-{task}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["inference_threads"]
    params:
        spec=spec(
            "attribution",
            attribution={key: value for key, value in CONFIG["attribution"].items() if key != "model"},
            seed=CONFIG["seed"],
            compute=compute("inference"),
        ),
    shell:
        "python -m taskneurons.attribution --spec {params.spec:q} --model {input.model} --data {input.data}"
        " --scores {output.scores} --bootstrap {output.bootstrap} --log {log}"
