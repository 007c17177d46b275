rule figure_deactivation:
    """Bars: original, random neurons off, own neurons off."""
    input:
        table("deactivation"),
    output:
        svg=report("<results>/figures/deactivation.svg", caption="../report/deactivation.rst", category="Figures"),
        png="<results>/figures/deactivation.png",
    log:
        "<results>/logs/figures/deactivation.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.deactivation"),
    shell:
        "python -m taskneurons.figures.deactivation --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_cross_task_deactivation:
    """The matrix of table_cross_task_deactivation."""
    input:
        table("cross_task_deactivation"),
    output:
        svg=report(
            "<results>/figures/cross_task_deactivation.svg",
            caption="../report/cross_task_deactivation.rst",
            category="Figures",
        ),
        png="<results>/figures/cross_task_deactivation.png",
    log:
        "<results>/logs/figures/cross_task_deactivation.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.cross_task_deactivation"),
    shell:
        "python -m taskneurons.figures.cross_task_deactivation --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_neurons_per_layer:
    """Where each task's neurons are."""
    input:
        table("neurons_per_layer"),
    output:
        svg=report(
            "<results>/figures/neurons_per_layer.svg", caption="../report/neurons_per_layer.rst", category="Figures"
        ),
        png="<results>/figures/neurons_per_layer.png",
    log:
        "<results>/logs/figures/neurons_per_layer.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.neurons_per_layer"),
    shell:
        "python -m taskneurons.figures.neurons_per_layer --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_jaccard:
    """The matrix of table_jaccard."""
    input:
        table("jaccard"),
    output:
        svg=report("<results>/figures/jaccard.svg", caption="../report/jaccard.rst", category="Figures"),
        png="<results>/figures/jaccard.png",
    log:
        "<results>/logs/figures/jaccard.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.jaccard"),
    shell:
        "python -m taskneurons.figures.jaccard --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"
