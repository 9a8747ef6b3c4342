"""Parts as tasks of a Slurm array, with submitit itself and programs that stand in for Slurm's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from slurm_programs import write_programs

from whisperlab.errors import ExecutorError, MissingExtraError
from whisperlab.executor.protocol import Part
from whisperlab.executor.slurm import SlurmExecutor

QUICK: dict[str, Any] = {"poll_seconds": 0.2, "options": {"comment": "ours"}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("submitit", reason="needs submitit: pip install 'whisperlab[slurm]'")
    monkeypatch.setenv("PATH", f"{write_programs(tmp_path)}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def part(place: Path, index: int, code: str) -> Part:
    folder = place / "parts" / str(index)
    folder.mkdir(parents=True)
    return Part(index, (sys.executable, "-c", code), folder / "worker.log")


def unwatched() -> None: ...


def said(one: Part) -> str:
    return one.log.read_text(encoding="utf-8")


def test_every_part_runs_as_a_task_with_its_cores_as_threads(place: Path) -> None:
    say = "import os; print(os.environ['OMP_NUM_THREADS'])"
    parts = [part(place, index, say) for index in range(3)]
    SlurmExecutor(cpus=3, **QUICK).run(parts, unwatched)
    assert [said(one) for one in parts] == ["3\n"] * 3
    script = next((place / "parts" / "slurm").glob("*submission*.sh"))
    lines = script.read_text(encoding="utf-8").splitlines()
    assert {"#SBATCH --array=0-2%2", "#SBATCH --requeue", "#SBATCH --comment=ours"} <= set(lines)


def test_a_task_that_is_killed_is_submitted_again(place: Path) -> None:
    once = place / "once"
    dies = (
        f"import os, pathlib; first = not pathlib.Path({str(once)!r}).exists(); print('run', flush=True); "
        f"pathlib.Path({str(once)!r}).touch(); first and os.kill(os.getppid(), 9)"
    )
    parts = [part(place, 0, dies), part(place, 1, "print('other')")]
    SlurmExecutor(**QUICK).run(parts, unwatched)
    assert said(parts[0]) == "run\nrun\n"
    assert said(parts[1]) == "other\n"


def test_a_task_that_the_queue_forgets_for_a_moment_is_not_run_twice(place: Path) -> None:
    squeue, looks = place / "bin" / "squeue", place / "looks"
    squeue.rename(place / "bin" / "really")
    squeue.write_text(
        f"#!/bin/bash\necho >>{looks}\n"
        f"(( $(wc -l <{looks}) % 2 )) && exit 0\nexec really\n"  # every other look finds nothing
    )
    squeue.chmod(0o755)
    seen = f"import time\nwhile sum(1 for _ in open({str(looks)!r})) < 8: time.sleep(0.05)"
    looks.touch()
    slow = part(place, 0, f"print('run', flush=True)\n{seen}")
    SlurmExecutor(workers=1, **QUICK).run([slow], unwatched)
    assert said(slow) == "run\n"


def test_a_part_that_always_fails_is_given_up_with_its_last_words(place: Path) -> None:
    fails = part(place, 0, "print('out of luck', flush=True); raise SystemExit(9)")
    with pytest.raises(ExecutorError, match=r"part 0 ended with code 9 \(2 times\): .*luck"):
        SlurmExecutor(workers=1, restarts=1, **QUICK).run([fails], unwatched)
    assert said(fails) == "out of luck\n" * 2


def test_a_refused_part_cancels_the_others_and_gives_its_code(place: Path) -> None:
    number = place / "number"
    sleeps = f"import os, time; open({str(number)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    waits = (
        f"import pathlib, time\nwhile not pathlib.Path({str(number)!r}).exists(): time.sleep(0.05)"
    )
    parts = [part(place, 0, sleeps), part(place, 1, f"{waits}\nraise SystemExit(4)")]
    with pytest.raises(ExecutorError, match=r"part 1 ended with code 4 \(1 times\)") as refused:
        SlurmExecutor(**QUICK).run(parts, unwatched)
    assert refused.value.exit_code == 4
    deadline = time.monotonic() + 30
    while is_alive(int(number.read_text(encoding="utf-8"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(number: int) -> bool:
    state = Path(f"/proc/{number}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_stop_signal_is_obeyed_between_two_looks_at_the_queue(place: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SlurmExecutor(poll_seconds=60.0).run(
            [part(place, index, "import time; time.sleep(600)") for index in range(2)], stop
        )
    asked = subprocess.run(["squeue"], capture_output=True, check=False)
    assert asked.returncode == 1  # nothing is left


def test_a_stop_while_the_array_is_being_submitted_cancels_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import submitit

    submits = submitit.SlurmExecutor._submit_command

    def interrupted(self: Any, command: str) -> Any:
        submits(self, command)
        raise KeyboardInterrupt  # behind sbatch, before anybody knows the number of the array

    monkeypatch.setattr(submitit.SlurmExecutor, "_submit_command", interrupted)
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        (place / "queue" / "1").write_text(f"{other.pid} another")
        sleeps = [part(place, index, "import time; time.sleep(600)") for index in range(2)]
        with pytest.raises(KeyboardInterrupt):
            SlurmExecutor(**QUICK).run(sleeps, unwatched)
        asked = subprocess.run(["squeue"], capture_output=True, text=True, check=False)
        assert asked.stdout.split() == ["1"]  # who is not ours goes on
    finally:
        other.kill()
        other.wait()


def test_an_array_that_sbatch_refuses_says_what_sbatch_said(place: Path) -> None:
    (place / "bin" / "sbatch").write_text("#!/bin/bash\necho no such partition >&2; exit 1\n")
    with pytest.raises(ExecutorError, match="sbatch refused the array"):
        SlurmExecutor(**QUICK).run([part(place, 0, "")], unwatched)


def test_a_machine_without_slurm_is_told_where_to_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(ExecutorError, match="run the command where sbatch and srun are"):
        SlurmExecutor().run([part(place, 0, "")], unwatched)


def test_without_submitit_the_install_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'whisperlab\[slurm\]'"):
        SlurmExecutor().run([part(tmp_path, 0, "")], unwatched)
