"""A whole `nightshift up`: how long from nothing to the first finished run, and what it costs when there is nothing to do."""

import json
import sys
import time
from pathlib import Path

import httpx
import psutil

from bench.programs import Program, wait_until
from bench.table import Row
from tests.servers.hiding import path_without

SETTLE_SECONDS, IDLE_SECONDS = 5.0, 20.0


def compare(folder: Path) -> list[Row]:
    """Rows of an instance with Redis of its own, and of one on the filesystem doorbell."""
    with path_without("redis-", "valkey-") as path:
        return [*_one(folder / "redis", {}, "Redis", "<= 1"), *_one(folder / "filesystem", {"PATH": path}, "filesystem", "<= 3")]


def _one(home: Path, environ: dict[str, str], doorbell: str, idle_goal: str) -> list[Row]:
    home.mkdir()
    ready = home / "ready.json"
    settings = {
        "NIGHTSHIFT_HOME": str(home),
        "NIGHTSHIFT_JOBS": "bench.notes:NOOP",
        "BENCH_NOTES": str(home / "notes"),
        **environ,
    }
    argv = [sys.executable, "-m", "worker.cli", "up", "--port", "0", "--ready-file", str(ready)]
    start = time.monotonic()
    with Program(argv, settings, home / "log") as program:
        wait_until(ready.exists, "nightshift up is ready")
        _run_one(json.loads(ready.read_text()))
        cold = time.monotonic() - start
        time.sleep(SETTLE_SECONDS)
        tree = program.tree()
        before = _busy(tree)
        time.sleep(IDLE_SECONDS)
        idle = 100 * (_busy(tree) - before) / IDLE_SECONDS
        memory = sum(process.memory_full_info().pss for process in program.tree()) / 2**20
    return [
        Row(what=f"cold start to the first finished run, s ({doorbell})", ours=f"{cold:.1f} s", value=cold, goal="<= 3"),
        Row(what=f"idle, % of a core ({doorbell})", ours=f"{idle:.2f} %", value=idle, goal=idle_goal),
        Row(what=f"memory, MB PSS ({doorbell})", ours=f"{memory:.0f} MB, {len(tree)} processes", value=memory, goal="<= 250"),
    ]


def _run_one(ready: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {Path(ready['token_file']).read_text().strip()}", "Prefer": "wait=10"}
    with httpx.Client(base_url=ready["url"], headers=headers, timeout=30, trust_env=False) as client:
        answer = client.post("/v1/runs", json={"job": "noop"})
        answer.raise_for_status()
        assert "succeeded" in answer.text, answer.text


def _busy(tree: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in tree)
