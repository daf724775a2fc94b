"""The process that measures one case: python -m benchmarks.speed.worker JSON.

It warms up, reports that it is ready, and then answers one word per line: "run"
(seconds), "parts", "memory". Every answer is one line of JSON. `measure.Process`
starts it; it ends with its input.
"""

import importlib
import json
import os
import resource
import sys
import time
import typing

from benchmarks.speed.case import Case

WARM_UPS = 2


def main() -> None:
    """Measures until the input ends."""
    case = Case.from_json(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # messages of the frameworks must not mix with the answers
    name = "plain" if case.backend == "torch" else "ours"
    steps = importlib.import_module(f"benchmarks.speed.{name}").Steps(case)
    for _ in range(WARM_UPS):
        steps.run()
    ready = {"images_per_step": steps.images_per_step, "devices": steps.devices()}
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(line.strip(), steps)), file=answers, flush=True)


def _answer(word: str, steps: typing.Any) -> object:
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
