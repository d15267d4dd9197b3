"""
Break the package in random places, one at a time, and count how many breakages the tests notice.

``python -m dev.mutate --seed 19 --count 60 --save FILE`` only chooses places and saves them. ``--places FILE`` breaks
the same places, even if the code has moved: a place is a function's name and one of its statements, not a line.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import random
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = REPOSITORY / "airflow_provider_otpiq"
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_STATEMENTS = (ast.Expr, ast.Raise, ast.Return, ast.If, ast.Assign)


class Place(NamedTuple):
    """A statement of a function, and its replacement."""

    function: str
    statement: str
    mutant: str


def main() -> int:
    """Run the tests once for each place, and print whether they notice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--places", type=Path)
    options = parser.parse_args()
    if options.places:
        places = [Place(*place) for place in json.loads(options.places.read_text())]
    else:
        every = sorted({place for path in _modules() for place in _places(path)})
        places = random.Random(options.seed).sample(every, options.count)  # noqa: S311  # not for secrets
    if options.save:
        options.save.write_text(json.dumps(places, indent=1))
        return 0
    outcomes = [_outcome(place) for place in places]
    for outcome in sorted(set(outcomes)):
        print(f"{outcome}: {outcomes.count(outcome)}")
    return 0


def _modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "sandbox" not in path.parts]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _places(path: Path) -> Iterator[Place]:
    for function in _functions(ast.parse(path.read_text())):
        for statement in ast.walk(function):
            if isinstance(statement, _STATEMENTS) and not _is_docstring(statement):
                for mutant in _mutants(statement):
                    yield Place(function.name, ast.unparse(statement), mutant)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _mutants(statement: ast.stmt) -> Iterator[str]:
    """Yield the statement with one comparison, condition or number changed, or ``pass``."""
    if isinstance(statement, (ast.Expr, ast.Raise)):
        yield "pass"
        return
    if isinstance(statement, ast.If):
        negated = copy.deepcopy(statement)
        negated.test = ast.UnaryOp(ast.Not(), negated.test)
        yield ast.unparse(ast.fix_missing_locations(negated))
        return
    for index, node in enumerate(ast.walk(statement)):
        if change := _change_of(node):
            changed = copy.deepcopy(statement)
            change(list(ast.walk(changed))[index])
            yield ast.unparse(changed)


def _change_of(node: ast.AST) -> Callable[[ast.AST], None] | None:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        return lambda found: found.ops.__setitem__(0, _COMPARISONS[type(found.ops[0])]())  # type: ignore[attr-defined]
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return lambda found: setattr(found, "op", other)
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool):
        return lambda found: setattr(found, "value", not value)
    if isinstance(value, int):
        return lambda found: setattr(found, "value", value + 1)
    return None


def _outcome(place: Place) -> str:
    """Break one place, run the tests of its folder and then all, and restore the file."""
    for path in _modules():
        original = path.read_text()
        if (broken := _broken(original, place)) is None:
            continue
        try:
            path.write_text(broken)
            outcome = "noticed" if _tests_fail(path) else "not noticed"
        finally:
            path.write_text(original)
        print(f"{outcome}: {path.relative_to(REPOSITORY)}, {place.function}: {place.mutant!r}", flush=True)
        return outcome
    print(f"gone: {place.function}: {place.statement!r}", flush=True)
    return "gone"


def _broken(source: str, place: Place) -> str | None:
    for function in _functions(ast.parse(source)):
        for statement in ast.walk(function):
            if not isinstance(statement, _STATEMENTS) or function.name != place.function:
                continue
            if ast.unparse(statement) == place.statement:
                return _replaced(source, statement, place.mutant)
    return None


def _replaced(source: str, statement: ast.stmt, mutant: str) -> str:
    lines = source.splitlines(keepends=True)
    indent = " " * statement.col_offset
    code = "".join(f"{indent}{line}\n" for line in mutant.splitlines())
    return "".join([*lines[: statement.lineno - 1], code, *lines[statement.end_lineno :]])


def _tests_fail(broken: Path) -> bool:
    folder = broken.relative_to(PACKAGE).parts[0].strip("_").removesuffix(".py")
    nearest = [str(path) for path in sorted((REPOSITORY / "tests").glob(f"{folder[:6]}*")) if path.is_dir()]
    for tests in (nearest or ["tests"], ["tests"]):
        command = [
            sys.executable,
            "-m",
            "pytest",
            *tests,
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            _without_processes(),
        ]
        try:
            status = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=600, check=False).returncode
        except subprocess.TimeoutExpired:
            return True
        if status not in {0, 5}:  # 5: no test collected
            return True
    return False


def _without_processes() -> str:
    """Select the tests of ``make unit``, and the slow ones."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    markers = [line.partition(":")[0] for line in project["tool"]["pytest"]["ini_options"]["markers"]]
    return " and ".join(f"not {marker}" for marker in markers if marker != "slow")


if __name__ == "__main__":
    sys.exit(main())
