"""Run one step: `python workflow/run_step.py SPEC FILES [--log LOG]`. The library is found beside this file.

A `-` in place of a text takes the next line of the standard input, which has no limit of length.
"""

import os
import signal
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)

# What numpy adds up must not depend on how many threads a job was given; torch's threads are in the spec.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is for Snakemake: no traceback of each job beside it
    from taskneurons.core import warm

    if sys.argv[1:2] == ["--serve"]:
        warm.serve(sys.argv[2])
    else:
        options = [sys.stdin.readline().rstrip("\n") if text == "-" else text for text in sys.argv[1:]]
        status = warm.ask(options)
        if status is not None:
            sys.exit(status)
        from taskneurons.core import step

        step.main(options)
