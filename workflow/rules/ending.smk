# What is said at the end of a run.

LAST_LINES = 4


def print_report_place():
    page = FOLDER / "report.html"
    if page.exists() and page.stat().st_mtime >= STARTED:
        print(f"\nThe report is at {page}\n", file=sys.stderr)


def tell_failures():
    """One screen: what failed, where its log is, its last lines, and the command that goes on."""
    failed = sorted(workflow.scheduler.failed, key=lambda job: job.rule.name) if workflow.scheduler else []
    if not failed:
        return
    lines = ["", f"{len(failed)} job{'s' if len(failed) > 1 else ''} failed:"]
    for job in failed:
        wildcards = ", ".join(f"{name}={value}" for name, value in job.wildcards_dict.items())
        log = Path(str(job.log[0])) if job.log else None
        said = log.read_text().splitlines() if log and log.exists() else []
        lines += [f"\n  {job.rule.name} ({wildcards}): {log}" if wildcards else f"\n  {job.rule.name}: {log}"]
        lines += [f"    {line}" for line in said[-LAST_LINES:]]
        lines += (
            [] if said else ["    it said nothing: it ended before its step began, or without a word (out of memory?)"]
        )
    lines += [
        "\nWhat is done stays, and trainings go on from their last state. The command that goes on:",
        "",
        COMMAND,
        "",
    ]
    print("\n".join(lines), file=sys.stderr)


COMMAND = f"  {shlex.join(['snakemake', *sys.argv[1:]])}"
