# Which files and sets the rules of several stages read.

# The rules that look at one task's values, and those that compare the values of all tasks.
OWN_RULES = [one for one in names("selection.rules") if not named("selection.rules", one).COMPARES]
COMPARING = [one for one in names("selection.rules") if one not in OWN_RULES and len(TASKS) > 1]
COMPARED_ACTIVATIONS = sorted({named("selection.rules", one).VALUES for one in COMPARING} - {"attribution"})

# What specificity compares, where there are several tasks: a task's own top k and the contrastive sets, chosen by scores
# of both references, at some k; under the run's own ablation and reference the damage table shows them too.
REFERENCES = ("zero", "mean")
FAIR_RULES = [
    CONFIG.selection.scope,
    *(["contrastive"] if COMPARING else []),
]  # without other tasks there is no contrast
SPECIFIC_RULES = FAIR_RULES if COMPARING else []
SPECIFIC_PERCENTS = {one: CONFIG.specificity.percents for one in [*SPECIFIC_RULES, *(["random"] if COMPARING else [])]}

# The rules whose sets the damage table compares, besides random sets.
DAMAGE_RULES = [one for one in CONFIG.damage.rules if one in OWN_RULES or one in COMPARING]

DRAWS = range(CONFIG.selection.random_draws)
# Of those that are matched with a task's in each layer: neuron tuning trains some, and others are switched off if asked for.
MATCHED_DRAWS = range(
    max(
        TUNING.random_draws if TUNING else 0,
        len(DRAWS) if CONFIG.selection.random_scope == "per-layer" else 0,
    )
)
K = percent_text(CONFIG.selection.k)


def given(path):
    """An input from outside. Its content counts, by its link in the spec, not its date: a new copy reruns nothing."""
    return ancient(str(path))


def own_file(name):
    """A file in the project's `workflow` folder, by the shortest way from where Snakemake runs."""
    return given(os.path.relpath((LIBRARY / name).resolve()))


def source_files(task, split):
    """The local files that a task's split is read from; none for the suite and the hub."""
    source = ALL_TASKS[task].data.source
    if source.local is None:
        return []
    splits = dict.fromkeys(local_split(source.local, source.splits, name) for name in SOURCE_SPLITS[split])
    return [given(path) for path in splits]


def base_model_files():
    """The local files that the base model is imported from; none if it comes from the hub."""
    source = CONFIG.model.source
    if source.gguf:
        return [given(source.gguf)]
    if source.path:
        return [given(path) for path in files_of_a_model(Path(source.path))]
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


def matched_masks(scored, task, percents, draws):
    """Random sets with as many neurons in each layer as a task's own; for "random" those that serve all tasks."""
    return [f"<results>/masks/{scored}/{task}/random{percent_text(k)}-draw{n}.parquet" for k in percents for n in draws]


def random_masks(scored, task, percents, draws):
    """Random sets to compare a task's with: those of all tasks, or its own where they are matched in every layer."""
    return matched_masks(scored, task if CONFIG.selection.random_scope == "per-layer" else "random", percents, draws)


def own_mask(scored, task, k=None):
    """The mask of a task's own neurons: the top k % in the config's scope."""
    return f"<results>/masks/{scored}/{task}/{CONFIG.selection.scope}{K if k is None else percent_text(k)}.parquet"


def masks_to_switch_off(original, tested):
    """The sets that are switched off one after the other in an original: every task's own, and random ones."""
    scored = scored_of(original)
    return [own_mask(scored, task) for task in TASKS] + random_masks(scored, tested, [CONFIG.selection.k], DRAWS)


def percents_of_damage(rule):
    """The k of a rule's sets that the damage step measures: those whose loss is not measured for specificity already, and
    those whose score is wanted."""
    elsewhere, scored = SPECIFIC_PERCENTS.get(rule, []), CONFIG.damage.scored.get(rule, [])
    return [k for k in CONFIG.damage.rules.get(rule, []) if k not in elsewhere or k in scored]


def lossless_sets():
    """The sets of the damage step of which the score alone is measured there: rule → k."""
    scored, elsewhere = CONFIG.damage.scored, SPECIFIC_PERCENTS
    both = {rule: [k for k in percents if k in elsewhere.get(rule, [])] for rule, percents in scored.items()}
    return {rule: percents for rule, percents in both.items() if percents}


def compared_masks(original, tested):
    """The masks of the damage table, made on the model that scores this one's neurons."""
    scored = scored_of(original)
    compared = [
        f"<results>/masks/{scored}/{task}/{one}{percent_text(k)}.parquet"
        for task in TASKS
        for one in DAMAGE_RULES
        for k in percents_of_damage(one)
    ]
    return compared + random_masks(scored, tested, percents_of_damage("random"), DRAWS)


def scores_by(reference):
    """The scores of all tasks that choose what is switched off in the first original, by a reference."""
    return [f"<results>/scores/{scored_of(ORIGINALS[0], reference)}/{task}.parquet" for task in TASKS]


def equal_masks(reference, task, random=""):
    """The masks of a task's sets of equal own damage, by the scores of one reference; or the random ones like them."""
    scored = scored_of(ORIGINALS[0], reference)
    ways = [f"{random}{rule}-equal-{ablation}" for rule in SPECIFIC_RULES for ablation in REFERENCES]
    return [f"<results>/masks/{scored}/{task}/{way}.parquet" for way in ways]


def masks_of_specificity(tested):
    """All sets that specificity compares on a task of the first original."""
    found = random_masks(scored_of(ORIGINALS[0]), tested, CONFIG.specificity.percents, DRAWS)
    for reference in REFERENCES:
        scored = scored_of(ORIGINALS[0], reference)
        found.append(f"<results>/masks/{scored}/{TASKS[0]}/universal{K}.parquet")  # the same for every task
        for task in TASKS:
            found += [own_mask(scored, task, k) for k in CONFIG.specificity.percents]
            found += [
                f"<results>/masks/{scored}/{task}/contrastive{percent_text(k)}.parquet"
                for k in CONFIG.specificity.percents
            ]
            found += equal_masks(reference, task)
        found += equal_masks(reference, tested, "random-like-")
    return found


# The scores that choose the neurons which are switched off, and a pattern of the others that there may be.
SCORED = list(dict.fromkeys(scored_of(original) for original in ORIGINALS))
NOT_RESAMPLED = rf"(?!({'|'.join(SCORED)})/)({MODEL})(-from-mean)?"

# The scores of the base model, which choose the neurons that are tuned.
BASE_SCORED = scored_name("base", CONFIG.attribution.reference)


def splits(tasks, split):
    """A split of some tasks."""
    return [f"<results>/data/{task}/{split}.parquet" for task in tasks]


def base_scores(tasks):
    """The scores by which neurons of the base model are tuned."""
    return [f"<results>/scores/{BASE_SCORED}/{task}.parquet" for task in tasks]
