"""Servers that several checks share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import stores
from kit.account import Account


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """A simulated account of the default size."""
    with Account(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Store]:
    """An S3 server."""
    with stores.server("moto", tmp_path_factory.mktemp("moto") / "moto.log") as store:
        yield store


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Store]:
    """Another S3 server, by other people."""
    with stores.server("ministack", tmp_path_factory.mktemp("ministack") / "ministack.log") as store:
        yield store


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A destination in the emulator of Azure."""
    with stores.azurite(tmp_path_factory.mktemp("azurite") / "azurite.log") as destination:
        yield destination


@pytest.fixture(scope="session")
def google(ministack: stores.Store) -> Iterator[dict[str, Any]]:
    """A destination in Google's API, in front of an S3 server."""
    with stores.google(ministack) as destination:
        yield destination
