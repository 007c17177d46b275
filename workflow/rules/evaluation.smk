rule zero_shot:
    """The base model on one task, as it is."""
    input:
        model="<results>/models/base",
        data="<results>/data/{task}/test.parquet",
    output:
        predictions="<results>/predictions/base/{task}.parquet",
    log:
        "<results>/logs/zero_shot/{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: spec(
            "evaluation.zero_shot",
            evaluation=evaluation_settings(w.task, types.Evaluation),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
