if "pretrain" in CONFIG["model"]["source"]:

    rule base_model:
        """The embedded base model, pre-trained by the workflow itself."""
        input:
            "<results>/data/pretraining.parquet",
        output:
            model=directory("<results>/models/base"),
            metrics="<results>/training/base.parquet",
        log:
            "<results>/logs/base_model.log",
        conda:
            "../../envs/taskneurons.yaml"
        threads: CONFIG["compute"]["training_threads"]
        params:
            checkpoint=f"{CHECKPOINTS}/base.safetensors",
            spec=spec(
                "pretrain_base",
                pretrain={
                    **CONFIG["model"]["source"]["pretrain"],
                    "training": training_settings(CONFIG["model"]["source"]["pretrain"]["training"]),
                },
                seed=CONFIG["seed"],
                compute=compute("training"),
            ),
        shell:
            "python -m taskneurons.pretrain_base --spec {params.spec:q} --text {input}"
            " --checkpoint {params.checkpoint} --metrics {output.metrics} --out {output.model} --log {log}"

else:

    rule base_model:
        """The base model from the hub, a local folder or a GGUF file."""
        input:
            base_model_files(),
        output:
            directory("<results>/models/base"),
        log:
            "<results>/logs/base_model.log",
        conda:
            "../../envs/taskneurons.yaml"
        params:
            spec=spec(
                "import_base",
                source=CONFIG["model"]["source"],
            ),
        shell:
            "python -m taskneurons.import_base --spec {params.spec:q} --out {output} --log {log}"


rule multitask:
    """The paper's "original": the base model fine-tuned on all tasks at once."""
    input:
        model="<results>/models/base",
        data=expand("<results>/data/{task}/train.parquet", task=TASKS),
        validation=validation_data(TASKS, CONFIG["training"]),
    output:
        model=directory("<results>/models/multitask-seed{seed}"),
        metrics="<results>/training/multitask-seed{seed}.parquet",
    log:
        "<results>/logs/multitask-seed{seed}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["training_threads"]
    params:
        checkpoint=f"{CHECKPOINTS}/multitask-seed{{seed}}.safetensors",
        spec=lambda w: spec(
            "multitask",
            training=training_settings(CONFIG["training"]),
            tasks=TASKS,
            seed=int(w.seed),
            compute=compute("training"),
        ),
    shell:
        "python -m taskneurons.multitask --spec {params.spec:q}"
        " --model {input.model} --data {input.data} --validation {input.validation}"
        " --checkpoint {params.checkpoint} --metrics {output.metrics} --out {output.model} --log {log}"
