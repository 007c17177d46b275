if CONFIG.attribution.shards == 1:

    rule attribution:
        """Scores of all neurons on one task, bootstrap replicates of them, and the scores of subsets."""
        input:
            model="<results>/models/{model}",
            data="<results>/data/{task}/attribution.parquet",
        output:
            scores="<results>/scores/{model}/{task}.parquet",
            bootstrap="<results>/scores/{model}/{task}.bootstrap.parquet",
            subsets="<results>/scores/{model}/{task}.subsets.parquet",
        log:
            "<results>/logs/attribution/{model}-{task}.log",
        wildcard_constraints:
            model="|".join(SCORED_MODELS),
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.inference_threads
        params:
            spec=attribution_spec("scores", resampled=True),
            files=files(),
        shell:
            STEP

else:

    rule attribution_shard:
        """Sums over one shard of a task's attribution examples."""
        input:
            model="<results>/models/{model}",
            data="<results>/data/{task}/attribution.parquet",
        output:
            sums=temp("<results>/scores/{model}/{task}/shard{shard}.parquet"),
        log:
            "<results>/logs/attribution/{model}-{task}-shard{shard}.log",
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.inference_threads
        params:
            spec=lambda w: attribution_spec("shard", resampled=w.model in SCORED_MODELS, shard=int(w.shard)),
            files=files(),
        shell:
            STEP

    rule merge_attribution:
        """Scores of all neurons on one task, of the sums over its shards."""
        input:
            sums=expand(
                "<results>/scores/{{model}}/{{task}}/shard{shard}.parquet",
                shard=range(CONFIG.attribution.shards),
            ),
        output:
            scores="<results>/scores/{model}/{task}.parquet",
            bootstrap="<results>/scores/{model}/{task}.bootstrap.parquet",
            subsets="<results>/scores/{model}/{task}.subsets.parquet",
        log:
            "<results>/logs/attribution/{model}-{task}.log",
        wildcard_constraints:
            model="|".join(SCORED_MODELS),
        conda:
            ENVIRONMENT
        params:
            spec=attribution_spec("merge", resampled=True),
            files=files(),
        shell:
            STEP


# The base model's scores choose the neurons that are tuned; nothing looks at their replicates and subsets.
if "base" not in SCORED_MODELS and CONFIG.attribution.shards == 1:

    use rule attribution as base_attribution with:
        input:
            model="<results>/models/base",
            data="<results>/data/{task}/attribution.parquet",
        output:
            scores="<results>/scores/base/{task}.parquet",
        log:
            "<results>/logs/attribution/base-{task}.log",
        params:
            spec=attribution_spec("scores", resampled=False),
            files=files(),

elif "base" not in SCORED_MODELS:

    use rule merge_attribution as merge_base_attribution with:
        input:
            sums=expand("<results>/scores/base/{{task}}/shard{shard}.parquet", shard=range(CONFIG.attribution.shards)),
        output:
            scores="<results>/scores/base/{task}.parquet",
        log:
            "<results>/logs/attribution/base-{task}.log",
        params:
            spec=attribution_spec("merge", resampled=False),
            files=files(),


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
