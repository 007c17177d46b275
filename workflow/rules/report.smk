rule report:
    """One self-contained page with all tables and figures."""
    input:
        tables=[table(one.name) for one in shown(CONFIG)],
        figures=[f"<results>/figures/{one.name}.svg" for one in shown(CONFIG) if one.figure],
        captions=[own_file(f"report/{one.name}.rst") for one in shown(CONFIG)],
        template=own_file("report/report.html.j2"),
    output:
        page="<results>/report.html",
    log:
        "<results>/logs/report.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        spec=spec(
            "report.page",
            run=CONFIG.run,
            model=CONFIG.model.name,
            confidence=CONFIG.tables.confidence,
            enough=CONFIG.stability.enough,
            facts=facts(CONFIG),
            titles={one.name: one.shows for one in shown(CONFIG)},
            left_out=left_out(CONFIG),
        ),
        files=files(),
    shell:
        STEP
