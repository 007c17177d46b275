rule neuron_tuning:
    """One task's data train its own neurons of the base model, and as many random ones, one set after the other."""
    input:
        model="<results>/models/base",
        data="<results>/data/{task}/train.parquet",
        validation=lambda w: validation_data([w.task], TUNING["training"]),
        masks=lambda w: tuned_masks(w.task),
    output:
        deltas=[f"<results>/deltas/{{task}}-seed{{seed}}/{name}.safetensors" for name in TUNED_SETS],
        metrics="<results>/training/{task}-seed{seed}.parquet",
    log:
        "<results>/logs/neuron_tuning/{task}-seed{seed}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["tuning_threads"]
    params:
        spec=lambda w: tuning_spec(w.seed),
        checkpoints=f"{CHECKPOINTS}/{{task}}-seed{{seed}}",
    shell:
        "python -m taskneurons.neuron_tuning --spec {params.spec:q}"
        " --model {input.model} --data {input.data} --validation {input.validation} --masks {input.masks}"
        " --checkpoints {params.checkpoints} --metrics {output.metrics} --out {output.deltas} --log {log}"


rule tuned_evaluation:
    """One task with its own deltas in the base model, and with those of the other tasks' neurons."""
    input:
        model="<results>/models/base",
        data="<results>/data/{task}/test.parquet",
        deltas=lambda w: deltas_to_evaluate(w.task, w.seed),
    output:
        "<results>/predictions/neuron_tuning-seed{seed}/{task}.parquet",
    log:
        "<results>/logs/evaluation/neuron_tuning-seed{seed}-{task}.log",
    conda:
        "../../envs/taskneurons.yaml"
    threads: CONFIG["compute"]["inference_threads"]
    params:
        spec=lambda w: tuned_evaluation_spec(w.task, "set"),
    shell:
        "python -m taskneurons.tuned_evaluation --spec {params.spec:q}"
        " --model {input.model} --data {input.data} --deltas {input.deltas} --out {output} --log {log}"


# One task's data train growing proportions of its own neurons, each from the base model.
use rule neuron_tuning as proportion_tuning with:
    input:
        model="<results>/models/base",
        data="<results>/data/{task}/train.parquet",
        validation=lambda w: validation_data([w.task], TUNING["training"]),
        masks=expand("<results>/masks/base/{{task}}/top{k}.parquet", k=PROPORTIONS),
    output:
        deltas=expand("<results>/deltas/{{task}}-seed{{seed}}/top{k}.safetensors", k=PROPORTIONS),
        metrics="<results>/training/{task}-proportions-seed{seed}.parquet",
    log:
        "<results>/logs/neuron_tuning/{task}-proportions-seed{seed}.log",
    params:
        spec=lambda w: tuning_spec(w.seed),
        checkpoints=f"{CHECKPOINTS}/{{task}}-proportions-seed{{seed}}",


# One task with each proportion of its own neurons trained.
use rule tuned_evaluation as proportion_evaluation with:
    input:
        model="<results>/models/base",
        data="<results>/data/{task}/test.parquet",
        deltas=expand("<results>/deltas/{{task}}-seed{{seed}}/top{k}.safetensors", k=PROPORTIONS),
    output:
        "<results>/predictions/proportions-seed{seed}/{task}.parquet",
    log:
        "<results>/logs/evaluation/proportions-seed{seed}-{task}.log",
    params:
        spec=lambda w: tuned_evaluation_spec(w.task, "k"),


rule table_neuron_tuning:
    """Tables 2 and 7: every task zero-shot, with random neurons trained, and with its own trained."""
    input:
        base=predictions(["base"]),
        tuned=tuned_predictions(),
        published="workflow/published/neuron_tuning.csv",
    output:
        parquet="<results>/tables/neuron_tuning.parquet",
        csv=report("<results>/tables/neuron_tuning.csv", caption="../report/neuron_tuning.rst", category="Tables"),
    log:
        "<results>/logs/tables/neuron_tuning.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("neuron_tuning", "name", "metric", "counterpart", model=CONFIG["model"]["name"]),
    shell:
        "python -m taskneurons.tables.neuron_tuning --spec {params.spec:q}"
        " --base {input.base} --tuned {input.tuned} --published {input.published}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_neuron_tuning_means:
    """The means of table_neuron_tuning over classification and over generation."""
    input:
        base=predictions(["base"]),
        tuned=tuned_predictions(),
        published="workflow/published/neuron_tuning.csv",
    output:
        parquet="<results>/tables/neuron_tuning_means.parquet",
        csv=report(
            "<results>/tables/neuron_tuning_means.csv", caption="../report/neuron_tuning_means.rst", category="Tables"
        ),
    log:
        "<results>/logs/tables/neuron_tuning_means.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("neuron_tuning_means", "metric", "counterpart", model=CONFIG["model"]["name"]),
    shell:
        "python -m taskneurons.tables.neuron_tuning_means --spec {params.spec:q}"
        " --base {input.base} --tuned {input.tuned} --published {input.published}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_neuron_tuning_effect:
    """How much more training a task's own neurons brings than training random ones."""
    input:
        tuned=tuned_predictions(),
    output:
        parquet="<results>/tables/neuron_tuning_effect.parquet",
        csv=report(
            "<results>/tables/neuron_tuning_effect.csv",
            caption="../report/neuron_tuning_effect.rst",
            category="Tables",
        ),
    log:
        "<results>/logs/tables/neuron_tuning_effect.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec("neuron_tuning_effect", "name", "metric"),
    shell:
        "python -m taskneurons.tables.neuron_tuning_effect --spec {params.spec:q}"
        " --tuned {input.tuned}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_cross_task_tuning:
    """Figure 5: every task's score after training every task's neurons, less zero-shot."""
    input:
        base=predictions(["base"]),
        tuned=tuned_predictions(),
    output:
        parquet="<results>/tables/cross_task_tuning.parquet",
        csv=report(
            "<results>/tables/cross_task_tuning.csv", caption="../report/cross_task_tuning.rst", category="Tables"
        ),
    log:
        "<results>/logs/tables/cross_task_tuning.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=score_table_spec(
            "cross_task_tuning", "name", "metric", cross_task_examples=CONFIG["evaluation"]["cross_task_examples"]
        ),
    shell:
        "python -m taskneurons.tables.cross_task_tuning --spec {params.spec:q}"
        " --base {input.base} --tuned {input.tuned}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule table_single_task_proportion:
    """Figure 6: single tasks, each trained alone on a growing proportion of its own neurons."""
    input:
        base=expand("<results>/predictions/base/{task}.parquet", task=PROPORTION_TASKS),
        tuned=expand(
            "<results>/predictions/proportions-seed{seed}/{task}.parquet",
            seed=TUNING["proportions"]["seeds"],
            task=PROPORTION_TASKS,
        ),
    output:
        parquet="<results>/tables/single_task_proportion.parquet",
        csv=report(
            "<results>/tables/single_task_proportion.csv",
            caption="../report/single_task_proportion.rst",
            category="Tables",
        ),
    log:
        "<results>/logs/tables/single_task_proportion.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec(
            "tables.single_task_proportion",
            tasks={key: shown_tasks(CONFIG, ("name", "metric"))[key] for key in PROPORTION_TASKS},
            tables=CONFIG["tables"],
            percents=TUNING["proportions"]["percents"],
        ),
    shell:
        "python -m taskneurons.tables.single_task_proportion --spec {params.spec:q}"
        " --base {input.base} --tuned {input.tuned}"
        " --parquet {output.parquet} --csv {output.csv} --log {log}"


rule figure_neuron_tuning:
    """Bars: zero-shot, random neurons trained, own neurons trained."""
    input:
        table("neuron_tuning"),
    output:
        svg=report("<results>/figures/neuron_tuning.svg", caption="../report/neuron_tuning.rst", category="Figures"),
        png="<results>/figures/neuron_tuning.png",
    log:
        "<results>/logs/figures/neuron_tuning.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.neuron_tuning"),
    shell:
        "python -m taskneurons.figures.neuron_tuning --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_cross_task_tuning:
    """Figure 5: the matrices of table_cross_task_deactivation and table_cross_task_tuning."""
    input:
        table("cross_task_deactivation"),
        table("cross_task_tuning"),
    output:
        svg=report(
            "<results>/figures/cross_task_tuning.svg", caption="../report/cross_task_tuning.rst", category="Figures"
        ),
        png="<results>/figures/cross_task_tuning.png",
    log:
        "<results>/logs/figures/cross_task_tuning.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.cross_task_tuning"),
    shell:
        "python -m taskneurons.figures.cross_task_tuning --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_single_task_proportion:
    """Figure 6: single tasks against the proportion of their neurons that is trained."""
    input:
        table("single_task_proportion"),
    output:
        svg=report(
            "<results>/figures/single_task_proportion.svg",
            caption="../report/single_task_proportion.rst",
            category="Figures",
        ),
        png="<results>/figures/single_task_proportion.png",
    log:
        "<results>/logs/figures/single_task_proportion.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.single_task_proportion"),
    shell:
        "python -m taskneurons.figures.single_task_proportion --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"
