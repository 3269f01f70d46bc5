"""A process that has imported the product, and forks itself for each script: what a kill costs is the script alone.

One line of JSON asks, one line answers: ``{"script", "arguments", "board", "out", "errors"}`` -> ``{"status"}``, where
the status is as in ``subprocess``: negative for a signal. All that it does itself is import: it has one thread when it
forks.
"""

import ctypes
import json
import os
import sys
import traceback

import cellsmono.app.assembly
import cellsmono.app.config_sources
import cellsmono.datasource.objects.s3.opening  # noqa: F401


def run_script(asked: dict) -> None:
    """In the child: as ``python -c`` would, with its points counted on the board."""
    for fd, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ctypes.CDLL(None).points_begin(os.fsencode(asked["board"]))
    sys.argv = ["-c", *asked["arguments"]]
    exec(compile(asked["script"], "<script>", "exec"), {"__name__": "__main__"})


def main() -> None:
    """Fork for each line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 0
            try:
                run_script(json.loads(line))
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)


main()
