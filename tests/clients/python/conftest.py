"""What the suites share: one emulator and one Easel, started once, and OpenAI's client for them."""

import openai
import pytest

from easel import KEY, PATIENCE, Easel, Emulator


@pytest.fixture(scope="session")
def emulator():
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def easel(emulator):
    with Easel(emulator.url) as easel:
        yield easel


@pytest.fixture
def client(easel):
    with openai.OpenAI(base_url=f"{easel.url}/v1", api_key=KEY, max_retries=0, timeout=PATIENCE) as client:
        yield client
