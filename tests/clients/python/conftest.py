"""What the suites share: one emulator and one Easel, started once."""

import pytest

from easel import Easel, Emulator


@pytest.fixture(scope="session")
def emulator():
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def easel(emulator):
    with Easel(emulator.url) as easel:
        yield easel
