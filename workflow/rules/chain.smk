# The chain of specs, for all rules that stand before this file. A job's spec gets the links of its inputs
# (taskneurons/core/chain.py), so that a change anywhere upstream is a change of its params; and where a file that is
# there is another link than the config asks for, its job runs, whatever Snakemake remembers of it.


@cache
def maker(path):
    """The rule that makes a file, with its wildcards as pairs; None for a file that no rule makes."""
    for candidate in CHAINED:
        for output in candidate.output:
            if match := output.match(path):
                return candidate, tuple(sorted(match.groupdict().items()))
    return None


@cache
def link(path):
    """The link that a file has to be."""
    if maker(path) is None:
        return links.foreign_link(Path(path)) if Path(path).is_file() else f"{links.FOREIGN}that is missing"
    return job_links(*maker(path))[path]


@cache
def job_inputs(rule, wildcards):
    """A job's input files by keyword."""
    global looking
    looking = False
    try:
        return named_files(rule.expand_input(Wildcards(fromdict=dict(wildcards)))[0])
    finally:
        looking = True


@cache
def job_spec(rule, wildcards):
    """All that a job's result depends on."""
    own = PLAIN_SPECS[rule.name]
    inputs = {
        name: link(paths) if isinstance(paths, str) else [link(path) for path in paths]
        for name, paths in job_inputs(rule, wildcards).items()
    }
    given = own(Wildcards(fromdict=dict(wildcards))) if callable(own) else own
    return {**given, "wildcards": dict(wildcards), "inputs": inputs}


@cache
def job_links(rule, wildcards):
    """Output file → link of a job."""
    outputs, _ = rule.expand_output(Wildcards(fromdict=dict(wildcards)))
    return links.output_links(job_spec(rule, wildcards), named_files(outputs))


@cache
def note(path):
    return links.recorded(Path(path))


def mismatch(path, expected, inputs):
    """Why an existing artifact is not the one that the config asks for; None if it is."""
    own = note(path)
    if own is None:
        return "damaged, or of no run of this workflow"
    if own.get("link") != expected:
        return "made with other settings or code"
    now = links.made_of([found for file in inputs if (found := note(file))])
    if any(now.get(made, identity) != identity for made, identity in own["made_of"].items()):
        return "made of a model or data that was made anew since"
    return None


def look_at_outputs(rule):
    """An input function without inputs: it is called for the jobs that a target needs, before their fate is decided."""

    def look(wildcards):
        if looking:
            pairs = tuple(sorted(wildcards.items()))
            inputs = [path for _, path in links.each(job_inputs(rule, pairs))]
            expected = job_links(rule, pairs)
            for path in filter(lambda path: Path(path).exists() and links.carries_note(Path(path)), expected):
                if reason := mismatch(path, expected[links.speaker(path)], inputs):
                    workflow.dag.forcefiles.add(path)
                    MISMATCHES[path] = reason
        return []

    return look


def chained_spec(rule):
    return lambda wildcards: json.dumps(job_spec(rule, tuple(sorted(wildcards.items()))))


def tell_mismatches():
    """Say, once, how many existing artifacts are not what the config asks for, and why."""
    for reason, number in Counter(MISMATCHES.values()).items():
        files_are = "file of this run is" if number == 1 else "files of this run are"
        logger.warning(f"{number} existing {files_are} {reason}: made anew where needed")
    MISMATCHES.clear()


CHAINED = [one for one in workflow.rules if "spec" in dict(one.params.items())]
PLAIN_SPECS = {one.name: one.params.spec for one in CHAINED}
MISMATCHES = {}
looking = True

for chained in CHAINED:
    chained.params[0] = chained_spec(chained)
    chained.params._set_name("spec", 0)
    if workflow.is_main_process:
        chained.set_input(look_at_outputs(chained))

if workflow.is_main_process:
    atexit.register(tell_mismatches)
