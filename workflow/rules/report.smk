def facts():
    """What a reader of the report needs to know of the settings, each with its value."""
    selection, attribution, sizes = CONFIG.selection, CONFIG.attribution, CONFIG.data.sizes
    told = {
        "selected": f"top {percent_text(selection.k)} % ({selection.scope})",
        "scores": f"of the {attribution.model} model, aggregation {attribution.aggregation}, loss {attribution.loss}",
        "examples a task": f"{sizes.train} train, {sizes.attribution} attribution, {sizes.test} test",
        "trainings": str(len(ORIGINALS)),
        "random sets": f"{selection.random_draws} ({selection.random_scope})",
    }
    if TUNING:
        told["neuron tuning"] = (
            f"scores of the base model, {len(TUNING.training.seeds)} trainings of each set,"
            f" {TUNING.random_draws} random sets"
        )
    return told


rule report:
    """One self-contained page with all tables and figures."""
    input:
        tables=[table(one.name) for one in shown(CONFIG)],
        figures=[f"<results>/figures/{one.name}.svg" for one in shown(CONFIG) if one.figure],
        captions=[f"workflow/report/{one.name}.rst" for one in shown(CONFIG)],
        template="workflow/report/report.html.j2",
    output:
        page="<results>/report.html",
    log:
        "<results>/logs/report.log",
    conda:
        ENVIRONMENT
    params:
        spec=spec(
            "report.page",
            run=CONFIG.run,
            model=CONFIG.model.name,
            confidence=CONFIG.tables.confidence,
            enough=CONFIG.stability.enough,
            facts=facts(),
            left_out=left_out(CONFIG),
        ),
        files=files(),
    shell:
        STEP


def print_report_place():
    page = Path("results") / CONFIG.run / "report.html"
    if page.exists() and page.stat().st_mtime >= STARTED:
        print(f"\nThe report is at {page}\n", file=sys.stderr)
