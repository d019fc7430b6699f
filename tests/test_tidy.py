"""The rules of the house, as a test, so that they survive people.

Layers (who may import whom), doors (one module for each third party), banned calls (time, entropy
and blocking belong to the host), and the size of files and functions.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

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


class Source(NamedTuple):
    """A file of the project's own, read once."""

    module: str
    path: Path
    text: str
    tree: ast.Module


@cache
def sources() -> tuple[Source, ...]:
    """Every file of the project's own, by name of module."""
    paths = sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    found = (
        Source(_module(path), path, text := path.read_text(), ast.parse(text, str(path)))
        for path in paths
    )
    return tuple(sorted(found))


def offenders(look: Callable[[Source], list[str]]) -> dict[str, list[str]]:
    """Look at every file; return what was found wrong, by module."""
    assert len(sources()) > 400, "nearly nothing was looked at"
    return {one.module: found for one in sources() if (found := look(one))}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


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


def test_a_module_imports_only_from_its_layer_and_below() -> None:
    def look(source: Source) -> list[str]:
        ours = (*PRODUCT, "tests")
        imported = [name for name in _imports(source.tree) if name.split(".")[0] in ours]
        return [name for name in imported if not _may_import(source.module, name)]

    assert offenders(look) == {}


def test_a_third_party_is_reached_through_its_door_only() -> None:
    def look(source: Source) -> list[str]:
        return [
            name
            for name in _imports(source.tree)
            if (doors := DOORS.get(name.split(".")[0])) is not None
            and not _under(source.module, doors)
            and name.split(".")[0] not in TYPE_ONLY
        ]

    assert offenders(look) == {}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def test_no_banned_call_and_no_environment_outside_config() -> None:
    def look(source: Source) -> list[str]:
        return [found for node in ast.walk(source.tree) if (found := _banned(node, source.module))]

    assert offenders(look) == {}


def _banned(node: ast.AST, module: str) -> str:
    """Return what is banned in this node, if anything is."""
    if isinstance(node, ast.Call):
        name = _dotted(node.func)
        if name == "print" and _under(module, PRINT_ALLOWED):
            return ""
        if name in BANNED_CALLS and not _under(module, ("runtime.host",)):
            return name
        stands_in = ("runtime.host", "sim.guard")
        if name.startswith("random.") and name != "random.Random" and module not in stands_in:
            return name
    reads_environment = isinstance(node, ast.Attribute) and _dotted(node) == "os.environ"
    if reads_environment and not _under(module, ("runtime.config", "actors.cli")):
        return "os.environ"
    return ""


def test_a_request_is_read_in_one_bounded_way() -> None:
    """Quart's limit of a body holds for get_data() only, and its own decoders fail on deep JSON."""
    banned = {"body", "stream", "json", "get_json", "form", "files", "values"}

    def look(source: Source) -> list[str]:
        if "quart.request" not in _imports(source.tree):
            return []
        read = [
            node.attr
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Attribute) and _dotted(node.value) == "request"
        ]
        return [name for name in read if name in banned]

    assert offenders(look) == {}


def test_no_template_goes_round_the_escaping_of_markup() -> None:
    templates = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.html")]
    assert templates
    for path in templates:
        assert not re.search(r"\|\s*safe\b|autoescape|\bMarkup\b", path.read_text()), path.name


def test_files_and_functions_stay_small() -> None:
    def look(source: Source) -> list[str]:
        lines = len(source.text.splitlines())
        found = [f"{lines} lines: one room too big?"] if lines > FILE_LINES_MAX else []
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                size = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if size > FUNCTION_LINES_MAX:
                    found.append(f"{node.name}: {size} lines")
        return found

    assert offenders(look) == {}


def test_names_say_what_a_file_holds() -> None:
    def look(source: Source) -> list[str]:
        return [source.path.stem] if source.path.stem in BANNED_NAMES else []

    assert offenders(look) == {}


def test_a_package_file_holds_a_docstring_only() -> None:
    def look(source: Source) -> list[str]:
        body = source.tree.body
        right = len(body) == 1 and isinstance(body[0], ast.Expr)
        return [] if right or source.path.name != "__init__.py" else ["more than a docstring"]

    assert offenders(look) == {}


def test_no_mark_of_unfinished_work() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")

    def look(source: Source) -> list[str]:
        return [mark for mark in marks if mark in source.text]

    assert offenders(look) == {}


def test_the_top_level_holds_the_agreed_folders_only() -> None:
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")}
    made_here = {"dist", "build", "data"}
    generated = {name for name in folders if name.endswith(".egg-info") or name in made_here}
    generated |= {name for name in folders if name.startswith("ordermill-")}
    assert folders - generated - {"__pycache__"} == {*PRODUCT, "docs", "tests"}
