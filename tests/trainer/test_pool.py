"""Tasks in processes give what they give in this one, whatever happens to the processes."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import ConfigError, DatasetError, TrainingError
from tests.trainer.pool_tasks import Step, Sum, add_up, small_store
from trainer.pool import run_all

Results = dict[str, list[float]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "store"
    small_store().save(folder)
    return folder


def results_of(tasks: list[Sum], store: Path, *, workers: int = 1, retries: int = 2) -> Results:
    results: Results = {}
    run_all(
        tasks,
        add_up,
        store,
        on_done=lambda task, result: results.update({task.key: result.tolist()}),
        workers=workers,
        retries=retries,
    )
    return results


@pytest.fixture(scope="module")
def local(store: Path) -> Results:
    return results_of([Sum(seed) for seed in range(5)], store)


def test_a_worker_killed_in_mid_task_is_replaced_and_results_are_those_of_one_process(
    store: Path, local: Results, tmp_path: Path
) -> None:
    tasks = [Sum(seed, "killed" if seed == 1 else "result", once=tmp_path / "died") for seed in range(5)]
    results: Results = {}
    events: list[tuple[str, str]] = []
    pids: set[int] = set()

    def progressed(task: Sum, step: Step) -> None:
        events.append(("progress", task.key))
        pids.add(step.pid)

    run_all(
        tasks,
        add_up,
        store,
        on_done=lambda task, result: results.update({task.key: result.tolist()}),
        on_start=lambda task: events.append(("start", task.key)),
        on_progress=progressed,
        on_retry=lambda task, why: events.append((why, task.key)),
        workers=2,
    )
    assert results == local
    assert list(local) == [f"sum-{seed}" for seed in range(5)]
    own = [what for what, key in events if key == "sum-1"]
    assert own == ["start", "progress", "its process died by SIGKILL", "start", "progress"]
    assert all([what for what, key in events if key == f"sum-{seed}"] == ["start", "progress"] for seed in (0, 2, 3, 4))
    # Two workers, and the one that came for the dead; a worker takes one task after the other.
    assert len(pids) == 3
    assert os.getpid() not in pids


def test_a_task_whose_process_dies_each_time_is_given_up_by_name_and_what_was_done_is_kept(store: Path) -> None:
    results: Results = {}
    why: list[str] = []
    with pytest.raises(
        TrainingError, match=r"trial sum-9: its process died 2 times, at last by SIGKILL: .*fewer workers"
    ):
        run_all(
            [Sum(1), Sum(9, "killed")],
            add_up,
            store,
            on_done=lambda task, result: results.update({task.key: result.tolist()}),
            on_retry=lambda _, reason: why.append(reason),
            workers=2,
            retries=1,
        )
    assert why == ["its process died by SIGKILL"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_user_can_cause_ends_the_run_as_itself(store: Path, workers: int) -> None:
    with pytest.raises(DatasetError, match=r"^sum-3 cannot be$"):
        results_of([Sum(1), Sum(3, "refused"), Sum(4, "never" if workers > 1 else "result")], store, workers=workers)


def test_a_bug_is_no_reason_to_try_again(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError, match="sum-3"):
        results_of([Sum(3, "bug"), Sum(4)], store)
    with pytest.raises(RuntimeError, match="trial sum-3: a bug ended its process with status 1"):
        results_of([Sum(3, "bug"), Sum(4)], store, workers=2)
    assert capfd.readouterr().err.count("ZeroDivisionError: sum-3") == 1


def test_too_few_workers_and_a_key_given_twice_are_refused(store: Path) -> None:
    with pytest.raises(ConfigError, match="--workers 0"):
        results_of([Sum(1)], store, workers=0)
    with pytest.raises(ValueError, match="keys of their own"):
        results_of([Sum(1), Sum(1)], store)


ENDLESS = """
import sys
from pathlib import Path
from tests.trainer.pool_tasks import Sum, add_up
from trainer.pool import run_all

if __name__ == "__main__":
    say = lambda _, step: print(step.pid, flush=True)
    run_all([Sum(1, "never"), Sum(2, "never")], add_up, Path(sys.argv[1]), on_done=print, on_progress=say, workers=2)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_run(store: Path, tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C reaches all processes of a terminal; SIGKILL leaves nobody to clean up."""
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS, encoding="utf-8")
    run = subprocess.Popen(
        [sys.executable, script, store],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert run.stdout is not None
    ends = [os.pidfd_open(int(run.stdout.readline())) for _ in range(2)]
    if ending == signal.SIGINT:
        os.killpg(run.pid, ending)
    else:
        run.send_signal(ending)
    _, errors = run.communicate(timeout=30)
    for end in ends:
        assert select.select([end], [], [], 30)[0], "a worker outlived its run"
        os.close(end)
    assert run.returncode == -ending
    assert errors.count("Traceback") == (1 if ending == signal.SIGINT else 0)
    assert "KeyboardInterrupt" in errors or ending == signal.SIGKILL


def test_the_pool_comes_without_tensorflow() -> None:
    code = "import sys, trainer.pool, trainer.pool.processes; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
