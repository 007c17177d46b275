if CONFIG.attribution.shards == 1:

    rule attribution:
        """Scores of all neurons on one task, bootstrap replicates of them, and the scores of subsets."""
        input:
            model=lambda w: f"<results>/models/{model_of(w.scored)}",
            data="<results>/data/{task}/attribution.parquet",
            means=lambda w: means_of_scores(w.scored),
        output:
            scores="<results>/scores/{scored}/{task}.parquet",
            bootstrap="<results>/scores/{scored}/{task}.bootstrap.parquet",
            subsets="<results>/scores/{scored}/{task}.subsets.parquet",
        log:
            "<results>/logs/attribution/{scored}-{task}.log",
        wildcard_constraints:
            scored="|".join(SCORED),
        cache: CACHED
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.inference_threads
        params:
            spec=lambda w: attribution_spec("scores", w.scored, resampled=True),
            files=files(),
        shell:
            STEP

else:

    rule attribution_shard:
        """Sums over one shard of a task's attribution examples."""
        input:
            model=lambda w: f"<results>/models/{model_of(w.scored)}",
            data="<results>/data/{task}/attribution.parquet",
            means=lambda w: means_of_scores(w.scored),
        output:
            sums=temp("<results>/scores/{scored}/{task}/shard{shard}.parquet"),
        log:
            "<results>/logs/attribution/{scored}-{task}-shard{shard}.log",
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.inference_threads
        params:
            spec=lambda w: attribution_spec("shard", w.scored, resampled=w.scored in SCORED, shard=int(w.shard)),
            files=files(),
        shell:
            STEP

    rule merge_attribution:
        """Scores of all neurons on one task, of the sums over its shards."""
        input:
            sums=expand(
                "<results>/scores/{{scored}}/{{task}}/shard{shard}.parquet",
                shard=range(CONFIG.attribution.shards),
            ),
        output:
            scores="<results>/scores/{scored}/{task}.parquet",
            bootstrap="<results>/scores/{scored}/{task}.bootstrap.parquet",
            subsets="<results>/scores/{scored}/{task}.subsets.parquet",
        log:
            "<results>/logs/attribution/{scored}-{task}.log",
        wildcard_constraints:
            scored="|".join(SCORED),
        cache: CACHED
        localrule: True
        conda:
            ENVIRONMENT
        params:
            spec=lambda w: attribution_spec("merge", w.scored, resampled=True),
            files=files(),
        shell:
            STEP


# Nothing looks at replicates and subsets of the other scores: of the base model, whose neurons are tuned, and with the
# other reference, with which specificity is compared.
if CONFIG.attribution.shards == 1:

    use rule attribution as plain_attribution with:
        output:
            scores="<results>/scores/{scored}/{task}.parquet",
        log:
            "<results>/logs/attribution/{scored}-{task}.log",
        wildcard_constraints:
            scored=NOT_RESAMPLED,
        cache: CACHED
        params:
            spec=lambda w: attribution_spec("scores", w.scored, resampled=False),
            files=files(),

else:

    use rule merge_attribution as merge_plain_attribution with:
        output:
            scores="<results>/scores/{scored}/{task}.parquet",
        log:
            "<results>/logs/attribution/{scored}-{task}.log",
        wildcard_constraints:
            scored=NOT_RESAMPLED,
        cache: CACHED
        localrule: True
        params:
            spec=lambda w: attribution_spec("merge", w.scored, resampled=False),
            files=files(),


rule mean_outputs:
    """The mean output of every neuron of a model over all tasks: what mean ablation puts in an output's place."""
    input:
        model="<results>/models/{model}",
        data=expand("<results>/data/{task}/attribution.parquet", task=TASKS),
    output:
        means="<results>/means/{model}.parquet",
    log:
        "<results>/logs/mean_outputs/{model}.log",
    cache: CACHED
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "attribution.mean_outputs",
            attribution=part(CONFIG.attribution, types.Passes),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP


rule activations:
    """Forward-only values of all neurons on one task, for the selection rules that compare them."""
    input:
        model="<results>/models/{model}",
        data="<results>/data/{task}/attribution.parquet",
    output:
        activations="<results>/activations/{model}/{task}.parquet",
    log:
        "<results>/logs/activations/{model}-{task}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.compute.inference_threads
    params:
        spec=spec(
            "attribution.activations",
            *(module_of("attribution.criteria", criterion) for criterion in COMPARED_ACTIVATIONS),
            criteria=COMPARED_ACTIVATIONS,
            attribution=part(CONFIG.attribution, types.Passes),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
