for one in shown(CONFIG):

    rule:
        name:
            f"table_{one.name}"
        input:
            **table_inputs(one),
        output:
            parquet=table(one.name),
            csv=report(f"<results>/tables/{one.name}.csv", caption=f"../report/{one.name}.rst", category="Tables"),
        log:
            f"<results>/logs/tables/{one.name}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            spec=table_spec(one),
            files=files(),
        shell:
            STEP

    if one.figure:

        rule:
            name:
                f"figure_{one.name}"
            input:
                tables=[table(name) for name in (*one.figure_of, one.name)],
            output:
                svg=report(f"<results>/figures/{one.name}.svg", caption=f"../report/{one.name}.rst", category="Figures"),
                png=f"<results>/figures/{one.name}.png",
            log:
                f"<results>/logs/figures/{one.name}.log",
            localrule: True
            conda:
                ENVIRONMENT
            params:
                spec=spec("figures.draw", module_of("figures", one.name), figure=one.name),
                files=files(),
            shell:
                STEP
