"""Every Python block of the README runs."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), scope)
    run = scope["run"]
    assert run.non_finite == 0
    assert 100_000 <= run.n <= 1_000_000


def test_the_commands_are_told():
    text = README.read_text()
    assert 'python -m pip install ".[test]" && python -m pytest' in text
    assert "python -m pip install . && fastrev demo" in text
    assert len(BLOCKS) >= 2
