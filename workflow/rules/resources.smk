# What every job takes (workflow/taskneurons/plan/), as Snakemake's resources: mem_mb, runtime (minutes), disk_mb and gpu,
# which a cluster's executor reads; and what is scarce where Snakemake runs: `local_gpu`, of a run without a cluster, and
# `submitting_node`, of the jobs that stay there in a run with one. profiles/default says how much there is of both. (A
# dry-run counts as a run without a cluster.)

# This machine may be a cluster's login node: that a kind of GPU is named says that jobs will have one.
ON_GPU = CONFIG.compute.device.startswith(("cuda", "spread")) or (
    CONFIG.compute.device == "auto" and (has_gpu() or CONFIG.compute.gpu is not None)
)
GPUS = CONFIG.compute.gpus
MARGIN, GROWTH = 1.25, 1.5  # of memory; and of all when a job is tried again
SNAKEMAKE = 300e6  # bytes that a job on a cluster takes besides its own
ON_HOST = ("models.import_base", "generalisation.task_vectors")  # steps that need no GPU


def planned_split(path):
    """What a split, or the text of the pre-training, should hold."""
    if Path(path).name == "pretraining.parquet":
        documents = CONFIG.model.source.pretrain.documents_per_task * len(TASKS)
        return Split(documents, 0, CONFIG.model.source.pretrain.architecture.max_position_embeddings // 2, True)
    task, split = ALL_TASKS[Path(path).parent.name], Path(path).stem
    generated = task.shown["metric"] != "accuracy"
    target = task.tokens.target if generated else LABEL_TOKENS
    return Split(getattr(task.sizes, split), task.tokens.prompt, target, generated)


@cache
def planned(rule, pairs):
    """A job's work, how it computes, its needs and its bytes on disk; None for a model whose sizes nobody knows yet."""
    if SIZES is None:
        return None
    outputs, _ = rule.expand_output(Wildcards(fromdict=dict(pairs)))
    lists = [
        {name: [paths] if isinstance(paths, str) else paths for name, paths in found.items()}
        for found in (job_inputs(rule, pairs), named_files(outputs))
    ]
    job = Job(job_spec(rule, pairs), *lists, planned_split)
    work = STEPS.get(job.spec["step"], lambda _: Work())(job)  # of a step that is not known yet, the least
    on = DEVICE if job.spec["step"] not in ON_HOST else device("cpu")
    using = how(job, GPUS)
    return work, using, needs(work, SIZES, on, using), disk(job, SIZES)


def resource_of(rule, name):
    """A resource's value of a job."""

    def of_job(wildcards, attempt):
        found = planned(rule, tuple(sorted(wildcards.items())))
        if found is None:
            return UNKNOWN[name]
        *_, takes, stays = found
        grown = GROWTH ** (attempt - 1)
        return {
            "mem_mb": int((takes.host * MARGIN + SNAKEMAKE) * grown / 1e6),
            "runtime": int((10 + 2 * takes.seconds / 60) * grown),
            "disk_mb": 100 + int(stays / 1e6),
            "gpu": GPUS if takes.device else 0,
        }[name]

    return of_job


def of_gpu_jobs(rule, kind):
    """The kind of GPU that a profile asks for, of the jobs that have one: SLURM's executor would ask for 0 of it."""
    number = resource_of(rule, "gpu")
    return lambda wildcards, attempt: kind if number(wildcards, attempt) else ""


def scarce_here(rule):
    """The resources by which profiles/default limits what runs at once on this machine."""

    number = resource_of(rule, "gpu")

    def local_gpu(wildcards, attempt):
        return int(workflow.local_exec and number(wildcards, attempt) > 0)

    def submitting_node(wildcards):
        return int(not workflow.local_exec and workflow.is_local(rule))

    return {"local_gpu": local_gpu, "submitting_node": submitting_node}


def planned_jobs():
    """All jobs that would run, with what `planned` says of them; none for a model whose sizes nobody knows yet."""
    jobs = [job for job in workflow.dag.jobs if workflow.dag.needrun(job) and job.rule in CHAINED]
    return [(job, *planned(job.rule, tuple(sorted(job.wildcards_dict.items())))) for job in jobs if SIZES]


def refused():
    """What no device of the kind can hold, in words."""
    jobs = [(job.rule.name, work, using) for job, work, using, takes, _ in planned_jobs() if takes.device]
    return too_large(jobs, SIZES, DEVICE)


def refuse_what_is_too_large():
    """Before anything is queued."""
    if ON_GPU and CONFIG.compute.gpu is not None and (problems := refused()):
        raise WorkflowError(problems)


def write_plan():
    """All jobs that would run, with what they take, for `python -m taskneurons.plan.show`."""
    about = {"run": CONFIG.run, "model": CONFIG.model.name, "device": DEVICE.name, "gpus": GPUS if ON_GPU else 0}
    about |= {"known": SIZES is not None, "refused": refused(), "warnings": RUN.warnings}
    jobs = [
        {
            **{"rule": job.rule.name, "log": str(job.log[0]), "threads": job.threads},
            "queued": job.rule.name not in workflow._localrules,
            **{"work": vars(work), "needs": vars(takes), "disk": stays},
        }
        for job, work, _, takes, stays in planned_jobs()
    ]
    Path(PLAN).write_text(json.dumps({**about, "jobs": jobs}))


try:
    SIZES = model_geometry(CONFIG.model)
    DEVICE = device((CONFIG.compute.gpu or "a100-80gb") if ON_GPU else "cpu")
except UserError as problem:
    raise WorkflowError(str(problem)) from None

UNKNOWN = {"mem_mb": 8000, "runtime": 240, "disk_mb": 1000, "gpu": GPUS if ON_GPU else 0}

for one in CHAINED:
    if "gpu_model" in one.resources.keys():  # by a profile's default-resources, of all jobs
        one.resources["gpu_model"] = of_gpu_jobs(one, one.resources["gpu_model"].raw)
    one.resources.update({name: resource_of(one, name) for name in UNKNOWN} | scarce_here(one) | {"nodes": 1})
    one.resources.update(workflow.resource_settings._parsed_overwrite_resources.get(one.name, {}))

PLAN = os.getenv("TASKNEURONS_PLAN")  # where to write the plan of a dry-run, for `make plan`
if workflow.is_main_process and PLAN:
    atexit.register(write_plan)
