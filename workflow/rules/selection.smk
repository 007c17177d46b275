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
    """As many random neurons as a task has, matched in each layer; in `random` those that serve all tasks, which have the
    same number in all layers together."""
    input:
        like=lambda w: own_mask(w.scored, TASKS[0] if w.owner == "random" else w.owner, float(w.k)),
    output:
        mask="<results>/masks/{scored}/{owner}/random{k}-draw{draw}.parquet",
    log:
        "<results>/logs/selection/{scored}-{owner}-random{k}-draw{draw}.log",
    conda:
        ENVIRONMENT
    params:
        spec=lambda w: spec(
            "selection.random_sets",
            draw=int(w.draw),
            random_scope="global" if w.owner == "random" else "per-layer",
            seed=CONFIG.seed,
        ),
        files=files(),
    shell:
        STEP
