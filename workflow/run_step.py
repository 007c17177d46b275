"""Run one step: `python workflow/run_step.py SPEC FILES [--log LOG]`. The library is found beside this file."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)

if __name__ == "__main__":
    from taskneurons.core import step

    step.main(sys.argv[1:])
