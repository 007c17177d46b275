"""Run one step: `python workflow/run_step.py SPEC FILES [--log LOG]`. The library is found beside this file."""

import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)

# What numpy adds up must not depend on how many threads a job was given; torch's threads are in the spec.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

if __name__ == "__main__":
    from taskneurons.core import warm

    if sys.argv[1:2] == ["--serve"]:
        warm.serve(int(sys.argv[2]), sys.argv[3])
    else:
        status = warm.ask(sys.argv[1:])
        if status is not None:
            sys.exit(status)
        from taskneurons.core import step

        step.main(sys.argv[1:])
