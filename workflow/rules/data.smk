rule prepare_data:
    """One split of one task: prompts, targets, labels and references."""
    input:
        lambda w: source_files(w.task, w.split),
    output:
        "<results>/data/{task}/{split}.parquet",
    log:
        "<results>/logs/prepare_data/{task}-{split}.log",
    wildcard_constraints:
        split="train|attribution|validation|test",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=lambda w: data_spec(w.task, w.split),
    shell:
        "python -m taskneurons.prepare_data --spec {params.spec:q} --split {wildcards.split} --out {output} --log {log}"


if "pretrain" in CONFIG["model"]["source"]:

    rule pretraining_text:
        """The plain sentences that the embedded base model learns the language from."""
        output:
            "<results>/data/pretraining.parquet",
        log:
            "<results>/logs/pretraining_text.log",
        conda:
            "../../envs/taskneurons.yaml"
        params:
            spec=spec(
                "pretraining_text",
                tasks=[task["source"]["suite"] for task in CONFIG["tasks"].values() if "suite" in task["source"]],
                documents_per_task=CONFIG["model"]["source"]["pretrain"]["documents_per_task"],
                seed=CONFIG["seed"],
            ),
        shell:
            "python -m taskneurons.pretraining_text --spec {params.spec:q} --out {output} --log {log}"
