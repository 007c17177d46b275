# Which sequences continual learning goes through, by which methods, and which files they have.

CONTINUAL = CONFIG.continual
CONTINUAL_TASKS = list(CONTINUAL.tasks)
METHODS = list(CONTINUAL.methods)
METHOD = {one: constants("continual.methods", one) for one in METHODS}

# Order → its tasks in their sequence; orders of all benchmarks have different names.
ORDERS = {order: tasks for orders in CONTINUAL.benchmarks.values() for order, tasks in orders.items()}
FIRST_TASKS = next(iter(ORDERS.values()))[:2]  # on which methods are tuned


def orders_of(method):
    """The sequences that a method learns."""
    chosen = CONTINUAL.methods[method].orders
    return [tasks for order, tasks in ORDERS.items() if chosen == "all" or order in chosen]


def tested_sequences(method):
    """The beginnings of a method's sequences after which it is tested, each once."""
    beginnings = [
        tuple(tasks[:number])
        for tasks in orders_of(method)
        for number in range(1, len(tasks) + 1)
        if METHOD[method]["LEARNS"] != "jointly" or number == len(tasks)
    ]
    return list(dict.fromkeys(beginnings))


def stage_file(folder, method, tasks, seed="{seed}", ending="parquet"):
    """A file of a stage; a sequence is its tasks so far, joined by dots."""
    return f"<results>/continual/{folder}/{method}/{'.'.join(tasks)}-seed{seed}.{ending}"


def stage_files(folder):
    """The files of a kind of all methods' tested stages."""
    return [
        stage_file(folder, method, tasks, seed)
        for method in METHODS
        for tasks in tested_sequences(method)
        for seed in CONTINUAL.seeds
    ]


def cost_files():
    """The costs of all stages that are learnt; a task that is learnt alone has one for all sequences."""
    return list(
        dict.fromkeys(
            stage_file("costs", method, tasks[-1:] if METHOD[method]["LEARNS"] == "alone" else tasks, seed)
            for method in METHODS
            for tasks in tested_sequences(method)
            for seed in CONTINUAL.seeds
        )
    )


def states(method, tasks, number=0):
    """What a method's stages kept, after some tasks, as far as it needs them: all, or the last `number`."""
    learns, needs = METHOD[method]["LEARNS"], METHOD[method]["NEEDS"]
    if learns == "jointly":
        found = [tasks]
    elif learns == "alone":
        found = [[task] for task in tasks]
    else:
        found = [tasks[:end] for end in range(1, len(tasks) + 1)]
        found = found if "all stages" in needs else found[-number:]
    return [stage_file("states", method, one, ending="safetensors") for one in found]


def stage_spec(step, method, tasks, seed, **settings):
    """The spec of a step of continual learning."""
    chooses = {"scores", "percent"} & set(METHOD[method]["NEEDS"])
    return spec(
        f"continual.{step}",
        module_of("continual.methods", method),
        method=method,
        tasks=tasks,
        percent=CONTINUAL.k if chooses else None,
        scope=CONFIG.selection.scope if chooses else None,
        seed=seed,
        compute=compute("tuning", whole=METHOD[method]["TRAINS"] == "all parameters"),
        **settings,
    )


def learning_spec(step, method, tasks, seed, **settings):
    """The spec of a step that trains."""
    training = loop_settings(CONTINUAL.training, types.ContinualLoop)
    return stage_spec(step, method, tasks, seed, training=training, **settings)


def learnt_from(method, tasks):
    """The tasks of which a stage needs train examples."""
    return tasks if "earlier examples" in METHOD[method]["NEEDS"] else tasks[-1:]


def states_before(method, tasks):
    """What the stages before a stage kept, as far as the method needs it."""
    return states(method, tasks[:-1], 1) if METHOD[method]["LEARNS"] == "in sequence" and len(tasks) > 1 else []


def tuned_files(method):
    """The file that says a method's learning rate, where the config does not."""
    return [] if CONTINUAL.methods[method].learning_rate else [f"<results>/continual/tuned/{method}.parquet"]


def given_settings(method):
    """The learning rate and the knob that the config gives a method, or the knob's default; None where it is tuned."""
    given, knob = CONTINUAL.methods[method], METHOD[method]["KNOB"]
    value = knob["grid"][0] if knob and given.knob is None and given.learning_rate else given.knob
    return {"learning_rate": given.learning_rate, "knob": value}


def answers_generated(tasks):
    """Whether answers are generated after a stage."""
    return CONTINUAL.exact_match == "all" or (CONTINUAL.exact_match == "last" and tasks in ORDERS.values())


def needed_scores(method, tasks):
    """The base model's scores that a method needs."""
    return base_scores(tasks) if "scores" in METHOD[method]["NEEDS"] else []


def general_texts():
    """The test split whose prompts are plain texts."""
    return [f"<results>/data/{CONTINUAL.general}/test.parquet"] if CONTINUAL.general else []
