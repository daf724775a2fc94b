"""The process of one case: python -m benchmarks.speed.worker JSON.

Warms up, says so, and obeys one word a line: "run" (answers seconds), "parts",
"memory". Answers are lines of JSON; it ends with its input. `processes.py` starts it.
"""

import importlib
import json
import os
import resource
import sys
import time

from benchmarks.speed.case import Case

WARM_UPS = 2


def main() -> None:
    """Runs until the input ends."""
    fields = json.loads(sys.argv[1])
    case = Case(**{**fields, "tasks": tuple(fields["tasks"])})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the frameworks print is no answer
    name = "plain" if case.backend == "torch" else "ours"
    steps = importlib.import_module(f"benchmarks.speed.{name}").Steps(case)
    for _ in range(WARM_UPS):
        steps.run()
    ready = {"images_per_step": steps.images_per_step, "devices": steps.devices()}
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_obeyed(line.strip(), steps)), file=answers, flush=True)


def _obeyed(word: str, steps) -> object:
    if word == "run":
        started = time.perf_counter()
        steps.run()
        return time.perf_counter() - started
    if word == "parts":
        return steps.parts()
    # Linux counts in KiB.
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"process": process, "device": steps.device_memory()}


if __name__ == "__main__":
    main()
