# Models fine-tuned on one task alone: how similar two tasks' parameters are inside them, and how far they generalise.
# None of it runs unless a table asks for it.


use rule multitask as single_task with:
    # The base model fine-tuned on one task alone.
    input:
        base="<results>/models/base",
        data="<results>/data/{task}/train.parquet",
        validation=lambda w: validation_data([w.task], CONFIG.training),
    output:
        model=directory("<results>/models/single-{task}-seed{seed}"),
        metrics="<results>/training/single-{task}-seed{seed}.parquet",
    log:
        "<results>/logs/single_task/{task}-seed{seed}.log",
    cache: CACHED
    params:
        spec=lambda w: spec(
            "training.single_task",
            training=loop_settings(CONFIG.training),
            seed=int(w.seed),
            compute=compute("training"),
        ),
        files=files(checkpoint=f"{CHECKPOINTS}/single-{{task}}-seed{{seed}}.safetensors"),


rule similarity:
    """How similar the parameters of two tasks' neurons are inside a model, layer by layer, and of random ones."""
    input:
        model="<results>/models/{model}",
        scores=lambda w: [
            f"<results>/scores/{scored_name(w.model, CONFIG.attribution.reference)}/{task}.parquet"
            for task in dict.fromkeys(sum(COMPARED_TASKS[w.model], []))
        ],
    output:
        similarity="<results>/similarity/{model}.parquet",
    log:
        "<results>/logs/similarity/{model}.log",
    wildcard_constraints:
        model="|".join(COMPARED_TASKS),
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: spec(
            "generalisation.similarity",
            first=COMPARED_TASKS[w.model][0],
            second=COMPARED_TASKS[w.model][1],
            k=CONFIG.selection.k,
            scope=CONFIG.selection.scope,
            # Nothing looks at random sets of the base model.
            draws=GENERALISATION.similarity.draws if GENERALISATION.similarity and w.model != "base" else 0,
            seed=CONFIG.seed,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule tested_model:
    """A model's losses on all tasks, and of a fine-tuned one the scores on the groups' test tasks."""
    input:
        model="<results>/models/{model}",
        data=expand("<results>/data/{task}/test.parquet", task=TASKS),
    output:
        tested="<results>/generalisation/tested/{model}.parquet",
    log:
        "<results>/logs/tested_model/{model}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: spec(
            "generalisation.tested_models",
            examples=GENERALISATION.examples,
            scored=[] if w.model == "base" else TEST_TASKS,
            scored_examples=GENERALISATION.scored_examples,
            evaluation=part(CONFIG.evaluation, types.Evaluation),
            batch_tokens=CONFIG.attribution.batch_tokens,
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
