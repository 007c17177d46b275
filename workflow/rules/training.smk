if CONFIG.model.source.pretrain:
    PRETRAINING = CONFIG.model.source.pretrain

    rule base_model:
        """The embedded base model, pre-trained by the workflow itself."""
        input:
            text="<results>/data/pretraining.parquet",
        output:
            model=directory("<results>/models/base"),
            metrics="<results>/training/base.parquet",
        log:
            "<results>/logs/base_model.log",
        cache: CACHED
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.training_threads
        params:
            spec=spec(
                "training.pretrain",
                vocabulary=PRETRAINING.vocabulary,
                architecture=PRETRAINING.architecture,
                training=loop_settings(PRETRAINING.training),
                seed=CONFIG.seed,
                compute=compute("training"),
            ),
            files=files(checkpoint=f"{CHECKPOINTS}/base.safetensors"),
        shell:
            STEP


rule multitask:
    """The paper's "original": the base model fine-tuned on all tasks at once."""
    input:
        base="<results>/models/base",
        data=expand("<results>/data/{task}/train.parquet", task=TASKS),
        validation=validation_data(TASKS, CONFIG.training),
    output:
        model=directory("<results>/models/multitask-seed{seed}"),
        metrics="<results>/training/multitask-seed{seed}.parquet",
    log:
        "<results>/logs/multitask-seed{seed}.log",
    cache: CACHED
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.training_threads
    params:
        spec=lambda w: spec(
            "training.multitask",
            training=loop_settings(CONFIG.training),
            tasks=TASKS,
            seed=int(w.seed),
            compute=compute("training"),
        ),
        files=files(checkpoint=f"{CHECKPOINTS}/multitask-seed{{seed}}.safetensors"),
    shell:
        STEP
