"""The rules of the house, as a test, so that they survive people.

Layers (who may import whom), doors (one module for each third party), banned calls (time, entropy
and blocking belong to the host), and the size of files and functions.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("runtime", "actors", "sim", "bench")
SERVICES = ("order_events", "payment", "shipping", "notification", "gateway")
COMPOSITION = (
    "actors.system",
    "actors.process",
    "actors.resources",
    "actors.effective",
    "actors.apps",
    "actors.messaging",
    "actors.neighbours",
    "actors.desks",
    "actors.parties",
    "actors.credentials",
    "actors.cli",
    "actors.commands",
    "actors.settings",
    "actors.topology",
)
FILE_LINES_MAX = 350
FUNCTION_LINES_MAX = 40

# Who may open the door to a third party, by module prefix.
DOORS: dict[str, tuple[str, ...]] = {
    "aiosqlite": ("runtime.sqlite_thread", "sim.guard", "bench.rivals"),
    "aiormq": ("runtime.amqp", "sim.guard", "bench.rivals"),
    "aiosmtplib": ("actors.notification",),
    "pamqp": ("runtime.broker", "runtime.amqp", "sim.guard", "sim.taps"),
    "yarl": ("runtime.amqp",),
    "quart": ("actors", "bench.rivals"),
    "werkzeug": ("actors", "sim.guard"),
    "hypercorn": ("runtime.http", "runtime.http_connection", "sim.guard", "bench.rivals"),
    "h11": ("runtime.http_connection", "runtime.http_heads"),
    "httpx": (
        *("actors.commands", "actors.process", "actors.service_client"),
        *("actors.batching", "actors.neighbours", "actors.desks"),
        *("actors.order_events", "actors.shipping", "actors.notification"),
        "runtime.amqp.management",
    ),
    "click": (
        "actors.cli",
        "actors.commands",
        "sim.cli",
        "sim.commands",
        "bench.cli",
        "bench.commands",
    ),
    "rich": ("actors.commands", "sim", "bench"),
    "jinja2": ("actors.notification", "actors.gateway", "sim.report"),
    "opentelemetry": ("runtime.otel",),
    "structlog": ("runtime.telemetry",),
    "prometheus_client": ("runtime.telemetry",),
    "asyncio": (
        *("runtime.host", "runtime.amqp", "runtime.broker.server"),
        *("runtime.http", "runtime.http_connection", "sim", "bench"),
    ),
    "time": ("runtime.host", "sim", "bench"),
    "random": ("runtime.host", "sim", "bench"),
    "uuid": ("runtime.host", "sim", "bench"),
    "socket": ("runtime.host", "runtime.http", "sim", "bench"),
    "httpcore": ("actors.service_pool", "sim.guard"),
    "secrets": ("runtime.host",),
    # What ordermill is measured against, and what draws the figures: never the product's.
    "eventsourcing": ("bench.rivals",),
    "faststream": ("bench.rivals",),
    "matplotlib": ("bench.plots",),
    "pykka": ("bench.rivals",),
    "thespian": ("bench.rivals",),
    "uvicorn": ("bench.rivals",),
    "uvloop": ("bench.rivals",),
    "threading": ("bench.profiled",),
    "concurrent": (),
    "pickle": (),
}
# `random.Random` is the type of the host's generator and needs the name.
TYPE_ONLY = {"random"}
BANNED_NAMES = ("utils", "helpers", "common", "manager", "base")
BANNED_CALLS = {
    "asyncio.timeout",
    "asyncio.wait_for",
    "asyncio.shield",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "os.getenv",
    "os.urandom",
    "print",
}
PRINT_ALLOWED = ("actors.commands", "sim", "bench")


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
TREES = {_module(path): ast.parse(path.read_text(), str(path)) for path in SOURCES}
MODULES = sorted(TREES)


def _under(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _may_import(module: str, target: str) -> bool:
    """The layers: tests -> all, bench -> sim -> actors -> runtime; services never each other."""
    layer, aimed = module.split(".")[0], target.split(".")[0]
    allowed = {
        "bench": PRODUCT,
        "sim": ("sim", "actors", "runtime"),
        "actors": ("actors", "runtime"),
        "runtime": ("runtime",),
    }[layer]
    if aimed not in allowed:
        return False
    if module.startswith("actors.domain"):
        return _under(target, ("actors.domain", "runtime.errors"))
    for service in SERVICES:
        if _under(module, (f"actors.{service}",)):
            others = tuple(f"actors.{other}" for other in SERVICES if other != service)
            return not _under(target, (*others, *COMPOSITION))
    if _under(module, ("runtime.amqp",)):
        return not _under(target, ("runtime.broker",))
    if _under(module, ("runtime.broker",)):
        return not _under(target, ("runtime.amqp",))
    return True


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_layer_and_below(module: str) -> None:
    ours = [name for name in _imports(TREES[module]) if name.split(".")[0] in (*PRODUCT, "tests")]
    assert [name for name in ours if not _may_import(module, name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_third_party_is_reached_through_its_door_only(module: str) -> None:
    wrong = [
        name
        for name in _imports(TREES[module])
        if (doors := DOORS.get(name.split(".")[0])) is not None
        and not _under(module, doors)
        and name.split(".")[0] not in TYPE_ONLY
    ]
    assert wrong == []


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


@pytest.mark.parametrize("module", MODULES)
def test_no_banned_call_and_no_environment_outside_config(module: str) -> None:
    found = []
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name == "print" and _under(module, PRINT_ALLOWED):
                continue
            if name in BANNED_CALLS and not _under(module, ("runtime.host",)):
                found.append(name)
            stands_in = ("runtime.host", "sim.guard")
            if name.startswith("random.") and name != "random.Random" and module not in stands_in:
                found.append(name)
        reads_environment = isinstance(node, ast.Attribute) and _dotted(node) == "os.environ"
        if reads_environment and not _under(module, ("runtime.config", "actors.cli")):
            found.append("os.environ")
    assert found == []


@pytest.mark.parametrize("module", MODULES)
def test_a_request_is_read_in_one_bounded_way(module: str) -> None:
    """Quart's limit of a body holds for get_data() only, and its own decoders fail on deep JSON."""
    if "quart.request" not in _imports(TREES[module]):
        return
    banned = {"body", "stream", "json", "get_json", "form", "files", "values"}
    read = [
        node.attr
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute) and _dotted(node.value) == "request"
    ]
    assert [name for name in read if name in banned] == []


def test_no_template_goes_round_the_escaping_of_markup() -> None:
    templates = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.html")]
    assert templates
    for path in templates:
        assert not re.search(r"\|\s*safe\b|autoescape|\bMarkup\b", path.read_text()), path.name


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_stay_small(module: str) -> None:
    path = next(path for path in SOURCES if _module(path) == module)
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_LINES_MAX, f"{lines} lines: one room too big?"
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            size = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert size <= FUNCTION_LINES_MAX, f"{node.name}: {size} lines"


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_names_say_what_a_file_holds(path: Path) -> None:
    assert path.stem not in BANNED_NAMES


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=_module)
def test_a_package_file_holds_a_docstring_only(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("module", MODULES)
def test_no_mark_of_unfinished_work(module: str) -> None:
    text = next(path for path in SOURCES if _module(path) == module).read_text()
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")
    assert [mark for mark in marks if mark in text] == []


def test_the_top_level_holds_the_agreed_folders_only() -> None:
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")}
    made_here = {"dist", "build", "data"}
    generated = {name for name in folders if name.endswith(".egg-info") or name in made_here}
    generated |= {name for name in folders if name.startswith("ordermill-")}
    assert folders - generated - {"__pycache__"} == {*PRODUCT, "docs", "tests"}
