if CONFIG.model.source.pretrain is None:

    rule base_model:
        """The base model from the hub, a local folder or a GGUF file."""
        input:
            files=base_model_files(),
        output:
            model=directory("<results>/models/base"),
        log:
            "<results>/logs/base_model.log",
        cache: CACHED
        conda:
            ENVIRONMENT
        params:
            spec=spec("models.import_base", source=CONFIG.model.source),
            files=files(),
        shell:
            STEP
