rule prepare_data:
    """One split of one task: prompts, targets and references."""
    input:
        sources=lambda w: source_files(w.task, w.split),
    output:
        data="<results>/data/{task}/{split}.parquet",
    log:
        "<results>/logs/prepare_data/{task}-{split}.log",
    wildcard_constraints:
        split="train|attribution|validation|test",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        spec=lambda w: spec(
            "data.prepare",
            key=w.task,
            split=w.split,
            task=data_of(ALL_TASKS[w.task], w.split),
            sizes=needed_sizes(ALL_TASKS[w.task], w.split),
            tokens=ALL_TASKS[w.task].tokens,
            seed=CONFIG.seed,
        ),
        files=files(),
    shell:
        STEP


if CONFIG.model.source.pretrain:

    rule pretraining_text:
        """The plain sentences that the embedded base model learns the language from."""
        output:
            text="<results>/data/pretraining.parquet",
        log:
            "<results>/logs/pretraining_text.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            spec=spec(
                "data.pretraining_text",
                tasks=[task.data.source.suite for task in RUN.tasks.values() if task.data.source.suite],
                documents_per_task=CONFIG.model.source.pretrain.documents_per_task,
                seed=CONFIG.seed,
            ),
            files=files(),
        shell:
            STEP
