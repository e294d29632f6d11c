"""Trials on a Ray cluster give what they give in this process, also when a node is killed in the middle of them."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

# Looked for, not imported: Ray reads what it shall print when it is imported first, which is the pool's to do.
if importlib.util.find_spec("ray") is None:
    pytest.skip("needs the extra `cluster`", allow_module_level=True)

from edge.errors import ConfigError, DatasetError, TrainingError
from tests.trainer.pool_tasks import DOOMED_NODE, Step, Sum, add_up, small_store
from trainer.pool import run_all

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Nodes:
    """Two nodes on this machine, each of them a group of processes that a signal reaches as one."""

    address: str
    head: int
    doomed: int


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough to travel through the object store."""
    folder = tmp_path_factory.mktemp("cluster") / "store"
    small_store(200).save(folder)
    return folder


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    port, client_port = free_port(), free_port()
    # Sockets lie in it, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        address = f"127.0.0.1:{port}"
        groups = []
        try:
            groups.append(
                ray_start(
                    "--head",
                    f"--port={port}",
                    f"--ray-client-server-port={client_port}",
                    "--include-dashboard=false",
                    f"--temp-dir={folder}",
                )
            )
            groups.append(ray_start(f"--address={address}", doomed=True))
            yield Nodes(address, *groups)
        finally:
            for group in groups:
                kill(group)


def ray_start(*arguments: str, doomed: bool = False) -> int:
    """Start a node and return its process group."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--object-store-memory=80000000"]
    starter = subprocess.Popen(
        [*command, "--disable-usage-stats", *arguments],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **({DOOMED_NODE: "1"} if doomed else {})},
    )
    _, errors = starter.communicate()
    assert starter.returncode == 0, errors
    return starter.pid


def kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def results_of(tasks: list[Sum], store: Path, cluster: str | None) -> dict[str, list[float]]:
    results: dict[str, list[float]] = {}
    run_all(
        tasks,
        add_up,
        store,
        on_done=lambda task, result: results.update({task.key: result.tolist()}),
        cluster=cluster,
    )
    return results


def test_a_node_killed_in_mid_run_costs_no_result(
    nodes: Nodes, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = [Sum(seed) for seed in range(6)]
    local = results_of(tasks, store, None)
    mine = shutil.copytree(store, tmp_path / "mine")
    results: dict[str, list[float]] = {}
    events: list[tuple[str, str]] = []

    def started(task: Sum) -> None:
        # Nodes need no disk of this machine: the store was sent.
        shutil.rmtree(mine, ignore_errors=True)
        events.append(("start", task.key))

    def progressed(task: Sum, step: Step) -> None:
        if step.is_doomed:
            kill(nodes.doomed)
            events.append(("kill", task.key))

    run_all(
        tasks,
        add_up,
        mine,
        on_done=lambda task, result: results.update({task.key: result.tolist()}),
        on_start=started,
        on_progress=progressed,
        on_retry=lambda task, why: events.append((why, task.key)),
        cluster=nodes.address,
    )
    assert results == local
    (struck,) = {key for what, key in events if what == "kill"}
    own = [what for what, key in events if key == struck and what != "kill"]
    assert own[0] == own[2] == "start"
    assert own[1].startswith("lost with its node or process")
    assert len(own) == 3
    assert capfd.readouterr() == ("", "")


def test_an_error_of_a_task_on_a_node_is_the_error_of_the_run(nodes: Nodes, store: Path) -> None:
    kill(nodes.doomed)
    with pytest.raises(DatasetError, match=r"^sum-3 cannot be$"):
        results_of([Sum(3, "refused")], store, nodes.address)


@pytest.mark.soak
def test_a_bug_on_a_node_is_no_reason_to_try_again(nodes: Nodes, store: Path) -> None:
    kill(nodes.doomed)
    with pytest.raises(ZeroDivisionError, match="sum-3"):
        results_of([Sum(3, "bug")], store, nodes.address)


@pytest.mark.soak
def test_a_task_that_kills_its_process_each_time_is_given_up_by_name(nodes: Nodes, store: Path) -> None:
    kill(nodes.doomed)
    with pytest.raises(TrainingError, match=r"trial sum-3: lost with its node or process .*, 3 times"):
        results_of([Sum(3, "killed")], store, nodes.address)


@pytest.mark.soak
def test_a_node_without_the_code_is_told_what_to_install(
    nodes: Nodes, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(nodes.doomed)
    (tmp_path / "only_here.py").write_text("def function(task, store, report): return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("only_here").function
    with pytest.raises(TrainingError, match=r"cannot import what it needs: install frailedge .* on every node"):
        run_all([Sum(1)], function, store, on_done=lambda *_: None, cluster=nodes.address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "nobody answers there"),
        ("ray://127.0.0.1:1", "say HOST:PORT"),
        ("6379", "say HOST:PORT"),
        ("127.0.0.1:99999", "nobody answers there"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(store: Path, address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"--cluster {address}: {words}"):
        results_of([Sum(1)], store, address)


def test_a_port_of_something_else_is_no_head_node(store: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request).start()
        with pytest.raises(ConfigError, match="what answers there is no head node of Ray"):
            results_of([Sum(1)], store, f"127.0.0.1:{server.server_port}")


def test_without_ray_the_error_says_what_to_install(store: Path) -> None:
    code = f"""
import sys
sys.modules["ray"] = None
from pathlib import Path
from edge.errors import ConfigError
from tests.trainer.pool_tasks import Sum, add_up
from trainer.pool import run_all
try:
    run_all([Sum(1)], add_up, Path({str(store)!r}), on_done=print, cluster="auto")
except ConfigError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "--cluster needs ray: pip install 'frailedge[train,cluster]'\n"


def test_workers_and_a_cluster_exclude_each_other(store: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        run_all([Sum(1)], add_up, store, on_done=lambda *_: None, workers=2, cluster="auto")
