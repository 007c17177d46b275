# Tasks learnt one after the other, by rival methods; a stage of a method's sequence is a job, and so is its test.


wildcard_constraints:
    method="|".join(METHODS),
    sequence=rf"({'|'.join(CONTINUAL_TASKS)})(\.({'|'.join(CONTINUAL_TASKS)}))*",


rule tune_method:
    """A method's learning rate and its one other setting, chosen by accuracy on validation examples."""
    input:
        base="<results>/models/base",
        data=splits(FIRST_TASKS, "train"),
        validation=splits(FIRST_TASKS, "validation"),
        scores=lambda w: needed_scores(w.method, FIRST_TASKS),
    output:
        tuned="<results>/continual/tuned/{method}.parquet",
    log:
        "<results>/logs/tune_method/{method}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.tuning_threads
    params:
        spec=lambda w: learning_spec(
            "tune_method",
            w.method,
            FIRST_TASKS,
            CONTINUAL.seeds[0],
            search=types.RateSearch(grid=CONTINUAL.tuning.grid, extensions=CONTINUAL.tuning.extensions),
            further=CONTINUAL.tuning.further,
            examples=CONTINUAL.tuning.examples,
            evaluation=part(CONFIG.evaluation, types.Evaluation),
        ),
        files=files(checkpoints=f"{CHECKPOINTS}/tuning-of-{{method}}"),
    shell:
        STEP


rule learn_stage:
    """The last task of a sequence, learnt by a method after those before it."""
    input:
        base="<results>/models/base",
        data=lambda w: splits(learnt_from(w.method, w.sequence.split(".")), "train"),
        scores=lambda w: needed_scores(w.method, w.sequence.split(".")),
        kept=lambda w: states_before(w.method, w.sequence.split(".")),
        tuned=lambda w: tuned_files(w.method),
    output:
        state="<results>/continual/states/{method}/{sequence}-seed{seed}.safetensors",
        history="<results>/continual/history/{method}/{sequence}-seed{seed}.parquet",
        costs="<results>/continual/costs/{method}/{sequence}-seed{seed}.parquet",
    log:
        "<results>/logs/learn_stage/{method}/{sequence}-seed{seed}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.tuning_threads
    params:
        spec=lambda w: learning_spec(
            "learn_stage",
            w.method,
            w.sequence.split("."),
            int(w.seed),
            **given_settings(w.method),
        ),
        files=files(checkpoint=f"{CHECKPOINTS}/{{method}}-{{sequence}}-seed{{seed}}.safetensors"),
    shell:
        STEP


rule test_stage:
    """A method's answers to all tasks of a sequence so far, and to the last one before it was learnt."""
    input:
        base="<results>/models/base",
        tests=lambda w: splits(w.sequence.split("."), "test"),
        kept=lambda w: states(w.method, w.sequence.split("."), 2),
        general=general_texts(),
    output:
        tested="<results>/continual/tested/{method}/{sequence}-seed{seed}.parquet",
    log:
        "<results>/logs/test_stage/{method}/{sequence}-seed{seed}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=lambda w: stage_spec(
            "test_stage",
            w.method,
            w.sequence.split("."),
            int(w.seed),
            evaluation=part(CONFIG.evaluation, types.Evaluation),
            exact_match=answers_generated(w.sequence.split(".")),
            texts=CONTINUAL.texts,
            passes=part(CONFIG.attribution, types.Passes),
        ),
        files=files(),
    shell:
        STEP


rule untrained:
    """The base model's answers to all tasks of continual learning."""
    input:
        base="<results>/models/base",
        tests=splits(CONTINUAL_TASKS, "test"),
        general=general_texts(),
    output:
        tested="<results>/continual/zero_shot.parquet",
    log:
        "<results>/logs/untrained.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "continual.untrained",
            evaluation=part(CONFIG.evaluation, types.Evaluation),
            texts=CONTINUAL.texts,
            passes=part(CONFIG.attribution, types.Passes),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
