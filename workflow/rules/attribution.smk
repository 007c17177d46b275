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
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.inference_threads
        params:
            spec=attribution_spec("scores"),
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
            spec=lambda w: attribution_spec("shard", shard=int(w.shard)),
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
        conda:
            ENVIRONMENT
        params:
            spec=attribution_spec("merge"),
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
        spec=lambda w: spec(
            "attribution.activations",
            *(module_of("attribution.criteria", criterion) for criterion in COMPARED_ACTIVATIONS),
            criteria=COMPARED_ACTIVATIONS,
            attribution=part(CONFIG.attribution, types.Passes),
            compute=compute("inference"),
        ),
        files=files(),
    shell:
        STEP
