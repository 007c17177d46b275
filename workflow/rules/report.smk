rule report:
    """One self-contained page with all tables and figures."""
    input:
        tables=[table(name) for name in REPORT_TABLES],
        figures=[f"<results>/figures/{name}.svg" for name in REPORT_FIGURES],
        captions=[f"workflow/report/{name}.rst" for name in REPORT_TABLES],
        template="workflow/report/report.html.j2",
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    conda:
        "../../envs/taskneurons.yaml"
    params:
        spec=spec(
            "report",
            run=CONFIG["run"],
            model=CONFIG["model"]["name"],
            confidence=CONFIG["tables"]["confidence"],
            enough=CONFIG["stability"]["enough"],
            settings=report_settings(),
        ),
    shell:
        "python -m taskneurons.report --spec {params.spec:q} --tables {input.tables} --figures {input.figures}"
        " --captions {input.captions} --template {input.template} --out {output} --log {log}"
