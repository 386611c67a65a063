"""All checks of the project. `nox -s tests` is the one to know; `nox -l` lists the others."""

from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
# Environments are kept, but every run installs into them again, so they follow the checkout.
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
OLDEST_HYPOTHESIS = next(
    requirement.replace(">=", "==")
    for requirement in PYPROJECT["project"]["dependencies"]
    if requirement.startswith("hypothesis>=")
)


def install(session: nox.Session, *requirements: str, group: str) -> None:
    """Install the package with all extras, a dependency group and further requirements."""
    # uv would reuse the wheel it built before, because it looks at pyproject.toml only.
    rebuild = ["--reinstall-package", "venomqa-hyp"] if session.venv_backend == "uv" else []
    dependencies = nox.project.dependency_groups(PYPROJECT, group)
    session.install(*rebuild, ".[all]", *dependencies, *requirements)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the current Python; arguments after `--` go to pytest."""
    install(session, group="test")
    session.run("pytest", "--numprocesses=auto", *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize(
    "hypothesis",
    [nox.param(OLDEST_HYPOTHESIS, id="oldest"), nox.param("hypothesis", id="newest")],
)
def tests_versions(session: nox.Session, hypothesis: str) -> None:
    """Run the tests on each Python with the oldest and the newest Hypothesis."""
    install(session, "--upgrade", hypothesis, group="test")
    session.run("pytest", "--numprocesses=auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    install(session, group="types")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a broken link is an error."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "docs"))
    session.run("zensical", "build", "--strict", "--clean")


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks named after `--`, or all; further arguments go to each of them."""
    install(session, group="test")
    named = [argument for argument in session.posargs if argument.endswith(".py")]
    options = [argument for argument in session.posargs if argument not in named]
    for script in named or sorted(map(str, Path("benchmarks").glob("[!_]*.py"))):
        session.run("python", script, *options)
