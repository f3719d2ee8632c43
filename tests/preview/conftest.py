"""A student's folder with a card that has a bit of everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hub.model_folder import write_model

CARD = """---
language: en
license: apache-2.0
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- distillation
base_model: example/teacher
datasets:
- example/texts
model-index:
- name: student
  results:
  - task:
      type: semantic-similarity
      name: Semantic Similarity
    dataset:
      name: STS Benchmark
      type: example/stsb
    metrics:
    - type: spearman_cosine
      value: 0.81234
      name: Spearman (cosine)
---
# Student

A small model, see [the figures](#quality) and [the facts](report.json).

```python
model = SentenceTransformer("example/student")
```

## Quality

![It keeps 99% of the quality.](figures/quality.png)

| Data | Score |
| :-- | --: |
| STS | 0.81 |

<details><summary>More</summary>

- [x] measured
- [ ] not measured

</details>
"""


Folder = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Folder:
    """Write a card, and at first the model folder around it."""

    def write(card: str = CARD) -> Path:
        folder = tmp_path / "student"
        if not folder.exists():
            write_model(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def folder(write: Folder) -> Path:
    return write(CARD)
