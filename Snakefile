from snakemake.utils import min_version

min_version("9.27")

# A preset given with --configfile replaces the embedded default; without this it would be merged into it.
if "tasks" not in config:

    configfile: workflow.source_path("config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/files.smk"


pathvars:
    results=f"results/{CONFIG.run}",


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/attribution.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/deactivation.smk"


if len(TASKS) > 1:

    include: "workflow/rules/specificity.smk"


if TUNING:

    include: "workflow/rules/tuning_sets.smk"
    include: "workflow/rules/tuning.smk"


if GENERALISATION:

    include: "workflow/rules/generalisation_files.smk"
    include: "workflow/rules/group_tuning.smk"
    include: "workflow/rules/similarity.smk"
    include: "workflow/rules/transfer.smk"


if CONFIG.continual:

    include: "workflow/rules/continual_files.smk"
    include: "workflow/rules/continual.smk"


include: "workflow/rules/table_inputs.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/chain.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/ending.smk"


rule all:
    default_target: True
    input:
        "<results>/report.html",


onstart:
    refuse_what_is_too_large()
    tell_mismatches()
    end_jobs_on(signal.SIGINT)
    end_jobs_on(signal.SIGTERM)


onsuccess:
    print_report_place()


onerror:
    tell_failures()
