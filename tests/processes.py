"""Processes that start warm: forks of one that has imported what is slow.

Tests that kill processes, or look on from a second one, start them by the dozen, and
each would import PyTorch for three seconds. Neither modAL nor this package is among
what is there, and skorch is not: they import as in a new Python. What is told of other
imports, warnings or options of Python needs a Python of its own: `subprocess`.
"""

import contextlib
import multiprocessing
import os
import runpy
import sys
import tempfile
import threading

from joblib.externals.loky.backend.context import set_start_method

_HAS_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_CONTEXT = multiprocessing.get_context("forkserver" if _HAS_FORKS else "spawn")
_CONTEXT.set_forkserver_preload(
    [
        "pandas",
        "scipy.stats",
        "sklearn.ensemble",
        "sklearn.gaussian_process",
        "sklearn.linear_model",
        "timm",
        "torch",
    ]
)


def fork_joblib_workers():
    """Have joblib's processes start warm, too; they inherit the number of threads."""
    if _HAS_FORKS:
        set_start_method("forkserver", force=True)


@contextlib.contextmanager
def dask_client(n_workers):
    """A cluster of warm processes, with one thread each."""
    import dask
    import distributed

    if _HAS_FORKS:  # before dask says what the server shall import
        from multiprocessing import forkserver

        forkserver.ensure_running()
    method = {"distributed.worker.multiprocessing-method": _CONTEXT.get_start_method()}
    with (
        dask.config.set(method),
        distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            dashboard_address=":0",  # any: another cluster may be running
            memory_limit=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


class Started:
    """A running process, with what `subprocess.Popen` has.

    Attributes
    ----------
    pid : int
    returncode : int or None
        Known after `communicate`; negative for a signal.
    stdout, stderr : text file
        What it prints, the first as it does.
    """

    def __init__(self, work, *args, env=None, cwd=None):
        reads, writes = _CONTEXT.Pipe(duplex=False)
        self.stderr = tempfile.NamedTemporaryFile(  # noqa: SIM115
            "r", encoding="utf-8", errors="replace"
        )
        self._process = _CONTEXT.Process(
            target=_work,
            args=(work, list(map(str, args)), dict(os.environ, **(env or {})), cwd,
                  writes, self.stderr.name),
        )  # fmt: skip
        self._process.start()
        writes.close()
        self.pid, self.returncode = self._process.pid, None
        self.stdout = os.fdopen(os.dup(reads.fileno()), encoding="utf-8")
        reads.close()

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        if self.returncode is None:
            self._process.kill()

    def communicate(self, timeout=300):
        """Wait for the end; return what it has printed since, and its errors."""
        if self.returncode is not None:
            return "", ""
        watch = threading.Timer(timeout, self.kill)
        watch.start()
        with self.stdout, self.stderr:
            said = self.stdout.read()
            self._process.join()
            watch.cancel()
            self.returncode = self._process.exitcode
            return said, self.stderr.read()


def start(code, *args, **options):
    """Run code, as ``python -c`` does; return the running process."""
    return Started(("code", code), *args, **options)


def start_module(name, *args, **options):
    """Run a module, as ``python -m`` does; return the running process."""
    return Started(("module", name), *args, **options)


def run(code, *args, **options):
    """Run code to its end, which is to be a good one; return what it printed."""
    process = start(code, *args, **options)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    return said


def _work(work, args, environment, cwd, writes, errors):
    os.dup2(writes.fileno(), 1)
    writes.close()
    with open(errors, "w") as file:
        os.dup2(file.fileno(), 2)
    # The server's own streams know the files that these numbers stood for before.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115, to the end
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [folder for folder in folders if folder]
    if cwd is not None:
        os.chdir(cwd)
    kind, what = work
    try:
        if kind == "module":
            sys.argv = [what, *args]
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *args]
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        # As Python does, and multiprocessing too late: joblib's workers end here.
        threading._shutdown()
