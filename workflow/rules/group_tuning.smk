# Groups of tasks that train neurons of the base model together, and are tested on tasks of any groups.

if SWEEP:

    rule sweep_rates:
        """The learning rate of each proportion of a group's neurons, chosen by validation loss."""
        input:
            base="<results>/models/base",
            data=lambda w: splits(GROUPS.train[w.group], "train"),
            validation=lambda w: splits(GROUPS.train[w.group], "validation"),
            scores=lambda w: base_scores(GROUPS.train[w.group]),
        output:
            rates="<results>/rates/proportions-of-{group}.parquet",
        log:
            "<results>/logs/sweep_rates/{group}.log",
        wildcard_constraints:
            group="|".join(map(re.escape, GROUPS.train)),
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.tuning_threads
        params:
            spec=lambda w: sweep_spec(
                "sweep_rates",
                w.group,
                GROUPS.train[w.group],
                TUNING_SEEDS[0],
                examples=TUNING.training.validation,
                scored_examples=0,
                rates=part(TUNING.rates, types.RateSearch),
            ),
            files=files(checkpoints=f"{CHECKPOINTS}/rates-of-{{group}}"),
        shell:
            STEP

    rule proportion_sweep:
        """A group's tasks together train growing proportions of their neurons of the base model, one after the other."""
        input:
            base="<results>/models/base",
            data=lambda w: splits(GROUPS.train[w.group], "train"),
            validation=lambda w: splits(GROUPS.train[w.group], "validation") if TUNING.training.patience else [],
            tests=lambda w: splits(sweep_tasks(w.group), "test"),
            scores=lambda w: base_scores(GROUPS.train[w.group]),
            rates="<results>/rates/proportions-of-{group}.parquet",
        output:
            measures="<results>/generalisation/proportions/{group}-seed{seed}.parquet",
        log:
            "<results>/logs/proportion_sweep/{group}-seed{seed}.log",
        wildcard_constraints:
            group="|".join(map(re.escape, GROUPS.train)),
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.tuning_threads
        params:
            spec=lambda w: sweep_spec("proportion_sweep", w.group, sweep_tasks(w.group), int(w.seed)),
            files=files(checkpoints=f"{CHECKPOINTS}/proportions-of-{{group}}-seed{{seed}}"),
        shell:
            STEP


if OVERLAPS:

    rule overlap_ablation:
        """A group's tasks train sets of neurons that share a given part with the test tasks', one after the other."""
        input:
            base="<results>/models/base",
            data=lambda w: splits(sides(w.pair)[0], "train"),
            validation=lambda w: splits(sides(w.pair)[0], "validation") if TUNING.training.patience else [],
            tests=lambda w: splits(sides(w.pair)[1], "test"),
            scores=lambda w: base_scores(dict.fromkeys(task for tasks in sides(w.pair) for task in tasks)),
            rates="<results>/rates/own.parquet",
        output:
            measures="<results>/generalisation/overlap/{pair}-{k}.parquet",
        log:
            "<results>/logs/overlap_ablation/{pair}-{k}.log",
        wildcard_constraints:
            pair="|".join(map(re.escape, OVERLAP_PAIRS)),
        conda:
            ENVIRONMENT
        threads: CONFIG.compute.tuning_threads
        params:
            spec=lambda w: group_spec(
                "overlap_ablation",
                *sides(w.pair)[:2],
                TUNING_SEEDS[0],
                pair=w.pair,
                others=sides(w.pair)[2],
                trained=float(w.k),
                shares=OVERLAPS.shares,
                draws=OVERLAPS.draws,
                draw_seed=CONFIG.seed,
            ),
            files=files(checkpoints=f"{CHECKPOINTS}/overlap-of-{{pair}}-{{k}}"),
        shell:
            STEP
