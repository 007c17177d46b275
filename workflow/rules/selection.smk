rule selection:
    """Every task's neurons: the top k % by score, of all layers together or of each."""
    input:
        scores=expand("<results>/scores/{{scored}}/{task}.parquet", task=TASKS),
        activations=[],
    output:
        masks=expand("<results>/masks/{{scored}}/{task}/{{rule}}{{k}}.parquet", task=TASKS),
    log:
        "<results>/logs/selection/{scored}-{rule}{k}.log",
    wildcard_constraints:
        rule="|".join(OWN_RULES),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        spec=lambda w: spec(
            "selection.select",
            module_of("selection.rules", w.rule),
            rule=w.rule,
            k=float(w.k),
            families=dict.fromkeys(TASKS, "any"),  # it is compared with no other
            scope=w.rule,
            core_share=100.0,
        ),
        files=files(),
    shell:
        STEP


for comparing in COMPARING:

    rule:
        name:
            f"select_{comparing.replace('-', '_')}"
        input:
            scores=expand("<results>/scores/{{scored}}/{task}.parquet", task=TASKS),
            activations=(
                []
                if named("selection.rules", comparing).VALUES == "attribution"
                else lambda w: expand(
                    "<results>/activations/{model}/{task}.parquet", model=model_of(w.scored), task=TASKS
                )
            ),
        output:
            masks=[f"<results>/masks/{{scored}}/{task}/{comparing}{{k}}.parquet" for task in TASKS],
        log:
            f"<results>/logs/selection/{{scored}}-{comparing}{{k}}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            spec=lambda w, comparing=comparing: spec(
                "selection.select",
                module_of("selection.rules", comparing),
                rule=comparing,
                k=float(w.k),
                families={key: task.shown["family"] for key, task in RUN.tasks.items()},
                scope=CONFIG.selection.scope,
                core_share=CONFIG.selection.core_share,
            ),
            files=files(),
        shell:
            STEP


rule random_selection:
    """Draws of as many random neurons as every task has in all layers together."""
    input:
        like=lambda w: own_mask(w.scored, TASKS[0], float(w.k)),
    output:
        masks=expand("<results>/masks/{{scored}}/random/random{{k}}-draw{draw}.parquet", draw=DRAWS),
    log:
        "<results>/logs/selection/{scored}-random{k}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        spec=spec("selection.random_sets", draws=list(DRAWS), random_scope="global", seed=CONFIG.seed),
        files=files(),
    shell:
        STEP


use rule random_selection as matched_selection with:
    # Draws of as many random neurons as a task has in each layer.
    input:
        like=lambda w: own_mask(w.scored, w.task, float(w.k)),
    output:
        masks=expand("<results>/masks/{{scored}}/{{task}}/random{{k}}-draw{draw}.parquet", draw=MATCHED_DRAWS),
    log:
        "<results>/logs/selection/{scored}-{task}-random{k}.log",
    localrule: True
    params:
        spec=spec("selection.random_sets", draws=list(MATCHED_DRAWS), random_scope="per-layer", seed=CONFIG.seed),
        files=files(),
