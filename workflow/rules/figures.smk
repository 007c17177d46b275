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


rule figure_selection_damage:
    """Damage against k, by selection rule."""
    input:
        table("selection_damage"),
    output:
        svg=report(
            "<results>/figures/selection_damage.svg", caption="../report/selection_damage.rst", category="Figures"
        ),
        png="<results>/figures/selection_damage.png",
    log:
        "<results>/logs/figures/selection_damage.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.selection_damage"),
    shell:
        "python -m taskneurons.figures.selection_damage --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_faithfulness:
    """Every criterion against the exact effects."""
    input:
        table("faithfulness"),
    output:
        svg=report("<results>/figures/faithfulness.svg", caption="../report/faithfulness.rst", category="Figures"),
        png="<results>/figures/faithfulness.png",
    log:
        "<results>/logs/figures/faithfulness.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.faithfulness"),
    shell:
        "python -m taskneurons.figures.faithfulness --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule figure_stability:
    """Agreement of masks against the number of examples."""
    input:
        table("stability"),
    output:
        svg=report("<results>/figures/stability.svg", caption="../report/stability.rst", category="Figures"),
        png="<results>/figures/stability.png",
    log:
        "<results>/logs/figures/stability.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec("figures.stability"),
    shell:
        "python -m taskneurons.figures.stability --spec {params.spec:q} --table {input}"
        " --svg {output.svg} --png {output.png} --log {log}"
