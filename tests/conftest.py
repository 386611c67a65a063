import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import postgres_database
import pytest
import servers
from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("venomqa-tests", database=None, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("venomqa-tests")
    # Hypothesis writes more than its database; by the environment, child processes follow.
    storage = tempfile.TemporaryDirectory(prefix="venomqa-hypothesis-")
    config.add_cleanup(storage.cleanup)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = storage.name
    # By these Hypothesis notices a CI, where it keeps no database; child processes are to have one.
    for name in ("CI", "BUILDKITE", "CIRCLECI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a PostgreSQL database of this session's own."""
    with _or_skip(servers.postgres_server()) as server, servers.postgres_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(postgres_url: str) -> Iterator[postgres_database.Database]:
    """A PostgreSQL database of this module's own."""
    with postgres_database.database(postgres_url) as found:
        yield found


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis server; others may use it, so keep to `redis_prefix`."""
    with _or_skip(servers.redis_server()) as url:
        yield url


@pytest.fixture(scope="session")
def redis_prefix(redis_url: str) -> Iterator[str]:
    """Prefix of the keys of this session."""
    with servers.redis_prefix(redis_url) as prefix:
        yield prefix


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[str]:
    """URL of a MySQL or MariaDB database of this session's own."""
    with _or_skip(servers.mysql_server()) as server, servers.mysql_database(server) as url:
        yield url


@contextmanager
def _or_skip(server: AbstractContextManager[str]) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(server)
        except servers.ServerMissing as missing:
            if os.environ.get("VENOMQA_TEST_REQUIRE_SERVERS") == "1":
                pytest.fail(f"{missing} (VENOMQA_TEST_REQUIRE_SERVERS=1)", pytrace=False)
            pytest.skip(str(missing))
        yield url
