def base_model_files():
    """The local files that the base model is imported from; none if it comes from the hub."""
    source = CONFIG.model.source
    if source.gguf:
        return [source.gguf]
    if source.path:
        return sorted(str(file) for file in Path(source.path).iterdir() if file.is_file())
    return []


if CONFIG.model.source.pretrain is None:

    rule base_model:
        """The base model from the hub, a local folder or a GGUF file."""
        input:
            files=base_model_files(),
        output:
            model=directory("<results>/models/base"),
        log:
            "<results>/logs/base_model.log",
        conda:
            ENVIRONMENT
        params:
            spec=spec("models.import_base", source=CONFIG.model.source),
            files=files(),
        shell:
            STEP
