"""What all commands have in common: a quick start, one line for an error, Ctrl-C."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modal_pretrain.benchmark import BenchmarkConfig, RecordStore, load, run
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.cli.main import COMMANDS, main
from modal_pretrain.cli.stop import STOP

SMALL = [
    *("--models", "random-init", "--strategies", "random", "--references", "--quiet"),
    *("--seeds", "1", "--seed-set", "4", "--batch", "4", "--rounds", "1"),
    *("--image-size", "32", "--examples", "0"),
    *("--data", "n_train=40", "n_test=20", "image_size=32"),
]
SLOW = {"torch", "timm", "skorch", "sklearn", "scipy", "pandas", "modAL", "matplotlib"}


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "modal_pretrain", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize(
    "arguments, status",
    [
        (["--help"], 0),
        (["--version"], 0),
        *[
            ([name, "--help"], 0)
            for name in ("label", "compare", "bench", "report", "embed", "status")
        ],
        (["list"], 0),
        (["bench", "--sedes", "3"], 2),
        ([], 2),
    ],
)
def test_answers_that_need_nothing_slow(arguments, status):
    code = f"""
import sys
from modal_pretrain.cli.main import main
try:
    status = main({arguments})
except SystemExit as stopped:
    status = stopped.code
print(*{{name.split(".")[0] for name in sys.modules}}, file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert not SLOW & set(done.stderr.splitlines()[-1].split())


def test_each_command_is_named_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for name in ("label", "compare", "bench", "report", "embed", "status", "list"):
        assert f"\n    {name} " in text
    assert len(COMMANDS) >= 6


def refused(capsys, *arguments):
    """Return the one line that a command ends with."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err.splitlines(keepends=True)
    # Arguments may replace some of SMALL, which is said.
    error = "".join(line for line in said if "was given again" not in line)
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.fixture
def a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    return str(path)


@pytest.mark.parametrize("place", ["{}", "{}/below", "{}/" + 300 * "x"])
def test_places_that_are_no_folders(capsys, a_file, place):
    place = place.format(a_file)
    assert place[:200] in refused(capsys, "bench", *SMALL, "--out", place)


def test_caches_and_reports_where_a_file_is(capsys, a_file, tmp_path):
    out = str(tmp_path / "out")
    assert main(["bench", *SMALL, "--out", out]) == 0
    capsys.readouterr()
    assert a_file in refused(capsys, "report", out, "--out", a_file)
    assert a_file in refused(capsys, "report", out, "--out", a_file + "/below")
    assert "no benchmark records" in refused(capsys, "report", str(tmp_path / "none"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(capsys, tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refused(
        capsys, "bench", *SMALL, "--out", str(tmp_path / "out")
    )


@pytest.mark.skipif(os.name == "nt", reason="a folder in use stays there")
def test_a_working_directory_that_is_gone(capsys, tmp_path, monkeypatch):
    records = tmp_path / "records"
    RecordStore(records, BenchmarkConfig()).create()
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert main(["status", str(records)]) == 3
    assert main(["embed", "x", "--cache", "c"]) == 2
    monkeypatch.chdir(tmp_path)
    assert "working directory has been deleted. Go to" in capsys.readouterr().err


def test_weights_that_cannot_be_had(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments = [*SMALL, "--models", "pretrained", "--backbone", "resnet18"]
    assert main(["bench", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: No pretrained weights for backbone='resnet18'")


@pytest.mark.parametrize(
    "arguments, match",
    [
        (["--data", "n_train=many"], "n_train"),
        (["--data", "n_train"], "--data needs KEY=VALUE"),
        (["--dataset", "shaps"], "Did you mean 'shapes'"),
        (["--strategies", "no.module:ask"], "no strategy 'no.module:ask'"),
        (["--config", "/nowhere.toml"], "/nowhere.toml"),
        (["--seeds", "0"], "seeds must be a whole number of at least 1"),
        (["--image-size", "0"], "image_size"),
    ],
)
def test_settings_that_cannot_be(capsys, tmp_path, arguments, match):
    out = str(tmp_path / "out")
    assert match in refused(capsys, "bench", *SMALL, *arguments, "--out", out)


def test_modules_of_the_user(capsys, tmp_path, monkeypatch):
    (tmp_path / "own_module.py").write_text(
        "def three(): return 3\n"
        "def broken(): raise OSError('the disk is gone')\n"
        "def none(classifier, X, n_instances=1): return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out = ["--out", str(tmp_path / "out")]
    for name, match in (
        ("three", "'own_module:three' must return a GroupedDataset, got int"),
        ("broken", "the disk is gone"),
    ):
        data = ["--dataset", f"own_module:{name}", "--rounds", "1"]
        assert match in refused(capsys, "bench", *data, *out)
    error = refused(capsys, "bench", *SMALL, "--strategies", "own_module:none", *out)
    assert "strategy own_module:none must return n_instances=4 different row" in error


def test_damaged_records(capsys, tmp_path):
    out = str(tmp_path)
    assert main(["bench", *SMALL, "--out", out]) == 0
    assert main(["status", out]) == 0
    assert "1 done, 0 running, 0 left, 0 damaged of 1 runs" in capsys.readouterr().out
    (path,) = tmp_path.glob("*/records/*.jsonl")
    path.write_text("")
    for command in (["bench", *SMALL, "--out", out], ["report", out]):
        error = refused(capsys, *command)
        assert f"{path} is empty. Delete it and run the same command again" in error
    assert main(["status", out]) == 4
    text = capsys.readouterr().out
    assert "0 done, 0 running, 0 left, 1 damaged of 1 runs" in text
    assert f"  damaged  {path} is empty" in text
    path.unlink()
    assert main(["status", out]) == 3
    text = capsys.readouterr().out
    assert "  left     random-init, random, seed 0: 0 of 2 rounds" in text
    (tmp_path / "zzz" / "records").mkdir(parents=True)
    (tmp_path / "zzz" / "config.json").write_text("{")
    assert main(["status", out]) == 4
    assert "zzz" in capsys.readouterr().out


def test_status_names_runs_that_were_copied_into_the_folder(capsys, tmp_path):
    out = str(tmp_path)
    assert main(["bench", *SMALL, "--out", out]) == 0
    (path,) = tmp_path.glob("*/records/*.jsonl")
    shutil.copy(path, path.with_name("pretrained--random--7.jsonl"))
    path.with_name(f"._{path.name}").write_text("what macOS keeps on foreign disks")
    capsys.readouterr()
    assert main(["status", out]) == 0
    text = capsys.readouterr().out
    assert "1 finished besides, which config.json does not name" in text
    assert "pretrained--random--7.jsonl" in text


def test_status_of_a_run_under_way(capsys, tmp_path):
    config = BenchmarkConfig(models=("pretrained",), strategies=("random",), seeds=(0,))
    store, unit = RecordStore(tmp_path, config), Unit("pretrained", "random", 0)
    store.create()
    with store.working_on(unit):
        assert main(["status", str(tmp_path)]) == 3
    assert "  running  pretrained, random, seed 0: 0 of 21" in capsys.readouterr().out


def interrupted(process, after):
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, error


@pytest.mark.parametrize("after", [0.0, 0.4, 1.0, 3.0])
def test_ctrl_c_while_importing_and_after(tmp_path, after):
    process = start("bench", "--seeds", "50", "--out", str(tmp_path))
    # Python's own start is not ours to guard: NumPy is the first thing we import.
    maps = Path(f"/proc/{process.pid}/maps")
    while "_multiarray_umath" not in maps.read_text() and process.poll() is None:
        time.sleep(0.01)
    status, error = interrupted(process, after)
    assert status == 130, error
    assert "Traceback" not in error and "Error" not in error
    assert error.rstrip().splitlines()[-1].startswith("Stopped.")


INTERRUPTS = """
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "modal_pretrain.compat":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("module", ["modal_pretrain", "modal_pretrain.benchmark"])
def test_ctrl_c_while_the_package_itself_is_imported(tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS)
    places = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "\nStopped.\n")
    # Who imports the package keeps what Ctrl-C does.
    code = "try: import modal_pretrain\nexcept KeyboardInterrupt: print('raised')"
    done = subprocess.run(
        [sys.executable, "-c", code, "-m", "modal_pretrain"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("raised\n", "")


def test_a_module_in_the_way_of_modal_is_one_line(tmp_path):
    (tmp_path / "modAL.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "modal_pretrain", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_names_that_a_terminal_has_no_letters_for(tmp_path):
    code = "import sys; from modal_pretrain.cli.main import main; main(['status', '☃'])"
    code += "; print('☃')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "\\u2603\n")


def test_a_closed_standard_output():
    code = "sys.stdout = None; sys.exit(main(['list']))"
    code = f"import sys; from modal_pretrain.cli.main import main; {code}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "status"), [(["list"], 2), (["list", "--help"], 0)]
)
@pytest.mark.parametrize("place", ["pipe", "/dev/full"])
def test_a_standard_output_that_takes_nothing(arguments, status, place, unbuffered):
    if place == "pipe":
        reads, out = os.pipe()
        os.close(reads)
    else:
        out = os.open(place, os.O_WRONLY)
    done = subprocess.run(
        [sys.executable, "-m", "modal_pretrain", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(out)
    words = "Broken pipe" if place == "pipe" else "No space left on device"
    said = f"error: standard output: {words}. " if status else ""
    assert done.returncode == status
    assert done.stderr.startswith(said) and done.stderr.count("\n") == bool(status)


@pytest.mark.parametrize("letters", [8191, 8192, 300_000])
def test_a_text_of_any_length_that_standard_output_does_not_take(letters):
    code = (
        "import sys; from modal_pretrain.cli import listing, main; "
        f"listing.write = lambda args: print({letters} * 'x'); "
        "sys.exit(main.main(['list']))"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    words = "error: standard output: No space left on device. "
    assert done.returncode == 2 and done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


def test_an_interrupt_of_code_that_was_given_as_text(tmp_path):
    (tmp_path / "stopped.py").write_text(
        "import sys\nfrom modal_pretrain.cli.main import _stopped\n"
        "try: exec('raise KeyboardInterrupt')\n"
        "except KeyboardInterrupt: sys.exit(_stopped())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "stopped"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 130


def test_an_interrupt_that_became_another_error(monkeypatch, capsys, tmp_path):
    def broken(*args, **kwargs):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Only a single TORCH_LIBRARY") from None

    monkeypatch.setattr("modal_pretrain.benchmark.runner.run", broken)
    assert main(["bench", *SMALL, "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.startswith("\nStopped.")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_faults_keep_their_traceback(monkeypatch, tmp_path):
    def broken(*args, **kwargs):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("modal_pretrain.benchmark.runner.run", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main(["bench", *SMALL, "--out", str(tmp_path)])
    assert not STOP.asked


def test_progress_in_a_file_is_lines(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("modal_pretrain._progress.EVERY", 0.0)
    config = BenchmarkConfig(
        dataset_params={"n_train": 40, "n_test": 20, "image_size": 32},
        models=("random-init",),
        strategies=("random",),
        seeds=(0,),
        seed_set=4,
        batch=4,
        rounds=2,
        references=(),
        estimator_params={"image_size": 32},
    )
    run(config, tmp_path)
    error = capsys.readouterr().err
    assert "\r" not in error
    assert "shapes: random-init, random, 0: 1 of 3 rounds in 0:0" in error
    assert error.splitlines()[-1].startswith("shapes: random-init, random, 0: 3 of 3 r")
    run(config, tmp_path, verbose=0)
    assert capsys.readouterr().err == ""


def test_a_stream_that_cannot_be_changed(monkeypatch):
    class Fixed(io.StringIO):
        def reconfigure(self, **kwargs):
            raise OSError(errno.ESPIPE, "Illegal seek")

    monkeypatch.setattr(sys, "stdout", Fixed())
    assert main(["list"]) == 0
    assert "Strategies" in sys.stdout.getvalue()


TWICE = """
import atexit, os, signal, sys
from modal_pretrain.cli import main as m

def interrupt(*args):
    os.kill(os.getpid(), signal.SIGINT)

def listed(args):
    interrupt()

def flushed():
    try:
        interrupt()
    finally:
        atexit.register(interrupt)

import modal_pretrain.cli.listing as listing
listing.write = listed
m._flush = flushed
sys.argv[0] = "modal-pretrain"
sys.orig_argv.append("modal-pretrain")
sys.exit(m.main(["list"]))
"""


@pytest.mark.parametrize("streams", ["", "os.close(2)\n"])
def test_ctrl_c_again_and_again(streams):
    done = subprocess.run(
        [sys.executable, "-c", TWICE.replace("def inter", streams + "def inter", 1)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    if not streams:
        stopped = "\nStopped. The same command goes on from here.\n\nStopped.\n"
        assert done.stderr == stopped


def test_a_standard_error_that_takes_nothing(monkeypatch, tmp_path):
    class Full(io.StringIO):
        def write(self, words):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    loud = [argument for argument in SMALL if argument != "--quiet"]
    assert main(["bench", *loud, "--out", str(tmp_path)]) == 0
    assert main(["status", str(tmp_path / "nowhere")]) == 2
    assert (tmp_path / "report.html").exists()


def test_a_tilde_is_the_home_directory(capsys, tmp_path, monkeypatch):
    """A shell leaves that of --out=~/results as it is; bench made a folder "~"."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    (home / "a.toml").write_text("strategies = ['random']\n")
    flags = ["--config=~/a.toml", "--out=~/results", "--cache=~/cache"]
    assert main(["bench", *SMALL, "--references", *flags]) == 0
    assert main(["status", "~/results"]) == 0
    report = ["report", "~/results", "--out=~/page", "--figure=~/figure.svg"]
    assert main(report) == 0
    assert str(home / "page" / "report.html") in capsys.readouterr().out
    assert len(load("~/results")) == 2
    made = {"results", "cache", "page", "figure.svg"}
    assert made <= {path.name for path in home.iterdir()}
    (home / "pictures").mkdir()
    assert main(["embed", "~/pictures", "--cache=~/cache"]) == 2
    assert f"no pictures in {home / 'pictures'}" in capsys.readouterr().err
    assert main(["compare", "~/pictures"]) == 2
    assert f"{home / 'pictures'} has no folders" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_a_flag_with_one_value_that_comes_again(capsys, tmp_path):
    """Of two settings files the first one had no effect, without a word."""
    missing = str(tmp_path / "b.toml")
    assert main(["bench", "--config", str(tmp_path / "a.toml"), "--config", missing])
    said = capsys.readouterr().err
    assert f"--config was given again: {missing} counts" in said
    assert f"{tmp_path / 'a.toml'} does not" in said
    pairs = ["--columns", "a", "b", "--columns", "c", "d", "--folds=3", "--folds", "4"]
    assert main(["compare", str(tmp_path), *pairs]) == 2
    said = capsys.readouterr().err
    assert "c d counts, a b does not" in said
    assert "--folds was given again: 4 counts, 3 does not" in said
    for arguments in (["--jobs=2", "-j", "2"], ["--models", "x", "--models", "y"]):
        assert main(["bench", *arguments, "--config", missing]) == 2
        assert "given again" not in capsys.readouterr().err


@pytest.mark.parametrize("again", [["n_train=6"], ["--data", "n_train=6"]])
def test_one_key_of_data_that_comes_again(capsys, again):
    """The last value counted, without a word about the first one."""
    arguments = ["bench", "--data", "n_train=4", "n_test=8", *again, "--seeds", "0"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    words = "--data n_train was given again: n_train=6 counts, n_train=4 does not"
    assert f"warning: {words}" in said


def test_a_parameter_of_the_classifier_among_the_settings(capsys, tmp_path):
    """It is a flag like the others, but in a file it has a table of its own."""
    file = tmp_path / "a.toml"
    file.write_text("seeds = 1\nimage_size = 64\n")
    assert main(["bench", "--config", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "'image_size': it is a parameter of the cl" in capsys.readouterr().err


def test_a_cache_that_is_a_file_leaves_nothing_behind(capsys, tmp_path):
    """The folder was begun before it was seen, and its runs were left for ever."""
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_text("")
    arguments = [*SMALL, "--cache", str(file), "--out", str(out)]
    assert main(["bench", *arguments]) == 2
    assert (
        f"--cache) must be a folder, which need not exist yet, got {str(file)!r}"
        in (capsys.readouterr().err)
    )
    assert not out.exists()


def test_a_flag_with_several_values_may_come_several_times(capsys, tmp_path):
    """The last one alone counted, without a word."""
    bench = ["bench", "--seeds=1", "--rounds=0", "--seed-set=4", "--image-size=32"]
    bench += ["--models=random-init", "--strategies", "margin", "--strategies=random"]
    bench += ["--data", "n_train=40", "--data=n_test=16", "--references", "--quiet"]
    assert main([*bench, "--out", str(tmp_path / "out")]) == 0
    assert set(load(tmp_path / "out").strategy) == {"margin", "random"}
    capsys.readouterr()
