"""Runs `jurat` and `python` commands of tests in forks of one process that has imported torch and jurat.

A command from a cold start takes about five seconds, nearly all of them imports. `Preloaded(folder)`
starts the process and writes two programs, `jurat` and `python`, into `folder/bin`; with that folder at
the front of PATH every command line runs as it is written, with its pipes, in a fork that has its own
working directory, environment, standard streams and exit code.

A fork differs from a start in what was imported before. So code that is not `python -m` imports jurat anew:
what it uses and does not import is missing there too. And a command whose environment differs in variables
that libraries read when they are imported (HF_HUB_OFFLINE, OMP_NUM_THREADS) is started as a shell starts it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
request = json.dumps({{"argv": {argv} + sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}}).encode()
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
answer = server.recv(2)
sys.exit(int.from_bytes(answer, "big") if answer else 70)
"""

AT_IMPORT = (
    "HF_",
    "HUGGINGFACE_",
    "TRANSFORMERS_",
    "TORCH",
    "PYTORCH_",
    "OMP_",
    "MKL_",
    "CUDA_",
    "PYTHON",
    "LC_",
    "LANG",
)
"""Beginnings of the variables that Python and libraries read when they start or are imported."""
STARTED = dict(os.environ)


class Preloaded:
    """The process and the folder with the programs; a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """`environment`: variables of the commands to come that differ from those of this process."""
        self.bin = folder / "bin"
        self.bin.mkdir()
        path = str(folder / "socket")
        for name, argv in (("jurat", ["-m", "jurat"]), ("python", [])):
            program = self.bin / name
            program.write_text(CLIENT.format(python=sys.executable, path=path, argv=argv))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self._process = subprocess.Popen(
            [sys.executable, __file__, path],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def __enter__(self) -> Preloaded:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def serve(path: str) -> dict[str, object]:
    """Forks for each request; returns, in the fork, what is to be run."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    os.write(1, b"ready\n")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        client, _ = server.accept()
        if os.fork():
            client.close()
            continue
        server.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, streams, _, _ = socket.recv_fds(client, 8, 3)
        request = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        running = os.fork()
        if running == 0:
            client.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return json.loads(request)
        _, status = os.waitpid(running, 0)
        code = os.waitstatus_to_exitcode(status)
        client.sendall((code if code >= 0 else 128 - code).to_bytes(2, "big"))
        os._exit(0)


def run(argv: list[str], cwd: str, env: dict[str, str]) -> None:
    """As `python ARGV` started in `cwd` with `env` would."""
    os.chdir(cwd)
    if at_import(env) != at_import(STARTED):
        os.execve(sys.executable, [sys.executable, *argv], env)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        errors = "backslashreplace" if name == "stderr" else "strict"
        setattr(sys, name, open(number, mode, encoding="utf-8", errors=errors, closefd=False))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = ["", *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    if argv[0] != "-m":
        for name in [name for name in sys.modules if name.partition(".")[0] == "jurat"]:
            del sys.modules[name]
    if argv[0] == "-c":
        sys.argv = argv[0:1] + argv[2:]
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
    elif argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        sys.path[0] = os.path.dirname(argv[0])
        runpy.run_path(argv[0], run_name="__main__")


def at_import(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of `AT_IMPORT`; PYTHONPATH, which `run` heeds, is not among them."""
    return {name: env[name] for name in env if name.startswith(AT_IMPORT) and name != "PYTHONPATH"}


def preload() -> None:
    """What most commands import."""
    import jinja2  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import rich.progress  # noqa: F401

    import jurat.cli.judge
    import jurat.report.verdicts.page  # noqa: F401
    from jurat.models import open_detector, open_matcher, open_model

    for opener in (open_model, open_detector, open_matcher):
        opener("bundled")


def end(error: BaseException | None) -> None:
    """Ends the fork as the interpreter ends, but for taking apart the objects of the process it came from."""
    code: object = error.code if isinstance(error, SystemExit) else None
    if error is not None and not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    elif isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    sys.path.pop(0)
    preload()
    gc.freeze()
    request = serve(sys.argv[1])
    try:
        run(**request)  # type: ignore[arg-type]
    except BaseException as raised:
        end(raised)
    end(None)
