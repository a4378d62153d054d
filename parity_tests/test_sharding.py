"""Rotation and tables on eight devices: the bytes of one, and no device waits for another."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = ["lookup", "growth", "rotation", "channels", "shard_map", "shared", "page"]


@pytest.mark.parametrize("check", CHECKS)
def test_on_eight_devices(check):
    command = [sys.executable, "-m", "parity_tests.sharded", check]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
