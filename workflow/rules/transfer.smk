# Transfer from one task to another, and what might predict it. None of it runs unless a table asks for it.

# A task's own neurons of the base model after training on its data.
OWN_TUNED = f"<results>/deltas/{{task}}-seed{TUNING_SEEDS[0]}/own{K}-tuned.safetensors"
PROBES = GENERALISATION.transfer.probes if GENERALISATION.transfer else 1

# The tasks on which alone a whole model is fine-tuned.
WHOLE_TASKS = TRAINING_TASKS if GENERALISATION.similarity else []


rule transfer:
    """The losses of all tasks after training one task's own neurons, and that model's features of common inputs."""
    input:
        base="<results>/models/base",
        data=expand("<results>/data/{task}/test.parquet", task=TASKS),
        probes=expand("<results>/data/{task}/validation.parquet", task=TASKS),
        delta=OWN_TUNED,
    output:
        tested="<results>/generalisation/transfer/{task}.parquet",
        features="<results>/generalisation/features/{task}.parquet",
    log:
        "<results>/logs/transfer/{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "generalisation.transfer",
            examples=GENERALISATION.examples,
            probes=max(1, PROBES // 4),
            passes=types.Passes(batch_size=CONFIG.evaluation.batch_size, batch_tokens=CONFIG.attribution.batch_tokens),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


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
        models=[f"<results>/models/{single(task)}" for task in WHOLE_TASKS],
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
