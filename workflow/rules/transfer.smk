# Transfer from one task to another, and what might predict it. None of it runs unless a table asks for it.

# A task's own neurons of the base model after training on its data.
OWN_TUNED = f"<results>/deltas/{{task}}-seed{TUNING_SEEDS[0]}/own{K}-tuned.safetensors"
PROBES = GENERALISATION.transfer.probes if GENERALISATION.transfer else 1

# The models that are fine-tuned on one task alone.
WHOLE_TASKS = []
WHOLE_MODELS = [f"<results>/models/{single(task)}" for task in WHOLE_TASKS]


def transfer_spec(**settings):
    """The spec of a measurement of losses, and of features where there are probes."""
    return spec(
        "generalisation.transfer",
        examples=GENERALISATION.examples,
        passes=types.Passes(batch_size=CONFIG.evaluation.batch_size, batch_tokens=CONFIG.attribution.batch_tokens),
        compute=compute("inference"),
        **settings,
    )


rule transfer:
    """The losses of all tasks after training one task's own neurons, and that model's features of common inputs."""
    input:
        base="<results>/models/base",
        tests=expand("<results>/data/{task}/test.parquet", task=TASKS),
        probes=expand("<results>/data/{task}/validation.parquet", task=TASKS),
        delta=OWN_TUNED,
    output:
        losses="<results>/generalisation/transfer/{task}.parquet",
        features="<results>/generalisation/features/{task}.parquet",
    log:
        "<results>/logs/transfer/{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=transfer_spec(probes=max(1, PROBES // 4)),
        files=files(),
    shell:
        STEP


use rule transfer as transfer_base with:
    # The losses of the base model as it is.
    input:
        base="<results>/models/base",
        tests=expand("<results>/data/{task}/test.parquet", task=TASKS),
    output:
        losses="<results>/generalisation/transfer-base.parquet",
    log:
        "<results>/logs/transfer_base.log",
    params:
        spec=transfer_spec(),
        files=files(),


rule task_probe:
    """What the base model makes of a few examples of a task: features, gradients, activated neurons."""
    input:
        model="<results>/models/base",
        data="<results>/data/{task}/attribution.parquet",
    output:
        probes="<results>/generalisation/probes/{task}.parquet",
    log:
        "<results>/logs/task_probe/{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "generalisation.probes",
            examples=PROBES,
            passes=part(CONFIG.attribution, types.Passes),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule task_vectors:
    """The cosines of what neuron tuning, and fine-tuning of the whole model, changed for any two tasks."""
    input:
        base="<results>/models/base",
        deltas=expand(OWN_TUNED, task=TASKS),
        models=WHOLE_MODELS,
    output:
        task_vectors="<results>/generalisation/task_vectors.parquet",
    log:
        "<results>/logs/task_vectors.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "generalisation.task_vectors",
            tasks=TASKS,
            trained=WHOLE_TASKS,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
