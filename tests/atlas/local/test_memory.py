"""The memory that the local Neo4j gets by itself."""

from pathlib import Path

import psutil
import pytest

from atlas.local import server


@pytest.mark.parametrize(
    ("limit", "heap_mb"), [(8 << 30, 2048), (4 << 30, 1024), (1 << 30, 512), (1 << 60, 4096)]
)
def test_it_is_a_quarter_of_the_container_within_bounds(
    limit: int, heap_mb: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": 64 << 30}))
    (tmp_path / "limit").write_text(f"{limit}\n")
    (tmp_path / "none").write_text("max\n")
    files = (tmp_path / "none", tmp_path / "absent", tmp_path / "limit")
    monkeypatch.setattr(server, "CGROUP_LIMITS", files)
    assert server.fitting_heap_mb() == heap_mb
