# Which files and sets the rules of several stages read.

# The rules whose sets the damage table compares, besides random sets: those of one task's values, and those that compare
# the values of all tasks.
DAMAGE_RULES = {one: percents for one, percents in CONFIG.damage.rules.items() if one != "random"}
OWN_RULES = [one for one in names("selection.rules") if not named("selection.rules", one).COMPARES]
COMPARING = {one: percents for one, percents in DAMAGE_RULES.items() if one not in OWN_RULES and len(TASKS) > 1}
COMPARED_ACTIVATIONS = sorted({named("selection.rules", one).VALUES for one in COMPARING} - {"attribution"})

DRAWS = range(CONFIG.selection.random_draws)


def own_file(name):
    """A file in the project's `workflow` folder, by the shortest way from where Snakemake runs."""
    return os.path.relpath((LIBRARY / name).resolve())


def source_files(task, split):
    """The local files that a task's split is read from; none for the suite and the hub."""
    source = RUN.tasks[task].data.source
    if source.local is None:
        return []
    return list(dict.fromkeys(str(local_split(source.local, source.splits, name)) for name in SOURCE_SPLITS[split]))


def base_model_files():
    """The local files that the base model is imported from; none if it comes from the hub."""
    source = CONFIG.model.source
    if source.gguf:
        return [source.gguf]
    if source.path:
        return list(map(str, files_of_a_model(Path(source.path))))
    return []


def scored_name(model, reference):
    """A model's scores by a reference as paths name them, `{scored}` in the rules: the model, or <model>-from-mean."""
    return f"{model}-from-mean" if reference == "mean" else model


def model_of(scored):
    """The model that made the scores of a name."""
    return scored.removesuffix("-from-mean")


def reference_of(scored):
    """The reference of the scores of a name."""
    return "mean" if scored.endswith("-from-mean") else "zero"


def means_file(model, wanted):
    """The mean outputs of a model, where they are wanted."""
    return [f"<results>/means/{model}.parquet"] if wanted else []


def means_of_scores(scored):
    return means_file(model_of(scored), reference_of(scored) == "mean")


def scored_of(original, reference=None):
    """The scores that choose the neurons which are switched off in an original; by the config's reference, or another."""
    model = original if CONFIG.attribution.model == "multitask" else "base"
    return scored_name(model, reference or CONFIG.attribution.reference)


def predictions(models):
    """The prediction files of some models, task by task."""
    return [f"<results>/predictions/{model}/{task}.parquet" for model in models for task in TASKS]


def random_masks(scored, task, percents, draws):
    """Random sets to compare a task's with: those of all tasks, or its own where they are matched in every layer."""
    owner = task if CONFIG.selection.random_scope == "per-layer" else "random"
    return [f"<results>/masks/{scored}/{owner}/random{percent_text(k)}-draw{n}.parquet" for k in percents for n in draws]


def own_mask(scored, task, k=None):
    """The mask of a task's own neurons: the top k % in the config's scope."""
    k = percent_text(CONFIG.selection.k if k is None else k)
    return f"<results>/masks/{scored}/{task}/{CONFIG.selection.scope}{k}.parquet"


def masks_to_switch_off(original, tested):
    """The sets that are switched off one after the other in an original: every task's own, and random ones."""
    scored = scored_of(original)
    return [own_mask(scored, task) for task in TASKS] + random_masks(scored, tested, [CONFIG.selection.k], DRAWS)


def compared_masks(original, tested):
    """The masks of the damage table, made on the model that scores this one's neurons."""
    scored = scored_of(original)
    compared = [
        f"<results>/masks/{scored}/{task}/{one}{percent_text(k)}.parquet"
        for task in TASKS
        for one, percents in DAMAGE_RULES.items()
        if one in COMPARING or one in OWN_RULES
        for k in percents
    ]
    return compared + random_masks(scored, tested, CONFIG.damage.rules.get("random", []), DRAWS)


# The rules of the growing sets of set_faithfulness, besides random ones; without other tasks there is no contrast.
GROWING_RULES = [CONFIG.selection.scope, *(["contrastive"] if len(TASKS) > 1 else [])]


def compared_scores(reference):
    """The scores of all tasks by a reference that choose neurons of the first original."""
    return expand("<results>/scores/{scored}/{task}.parquet", scored=scored_of(ORIGINALS[0], reference), task=TASKS)


# The scores that choose the neurons which are switched off, and a pattern of the others that there may be.
SCORED = list(dict.fromkeys(scored_of(original) for original in ORIGINALS))
NOT_RESAMPLED = rf"(?!({'|'.join(SCORED)})/)(base|multitask-seed\d+)(-from-mean)?"

# The scores of the base model, which choose the neurons that are tuned.
BASE_SCORED = scored_name("base", CONFIG.attribution.reference)
