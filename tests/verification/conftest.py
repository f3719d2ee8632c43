from __future__ import annotations

from pathlib import Path

import pytest
from verification.published_student import publish


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, tiny_teacher_folder: Path) -> Path:
    """A folder with `data`, `student` and `teacher`; tests change copies."""
    here = tmp_path_factory.mktemp("published")
    publish(here, tiny_teacher_folder)
    return here
