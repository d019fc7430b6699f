import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from runtime.config import describe, json_schema, load
from runtime.errors import ConfigurationError
from runtime.setting import Secret, SecretUrl, shown

Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one")]


class Http(msgspec.Struct, frozen=True):
    bind: str = "127.0.0.1"
    port: Port = 8080


class Retry(msgspec.Struct, frozen=True):
    tiers_s: Annotated[tuple[Annotated[float, Meta(gt=0)], ...], Meta(min_length=1)] = (1, 5)
    attempts_max: Annotated[int, Meta(ge=1)] = 10

    def __post_init__(self) -> None:
        if self.attempts_max < len(self.tiers_s):
            raise ValueError("retry.attempts_max: fewer attempts than tiers")


class Security(msgspec.Struct, frozen=True):
    secret: Secret | None = None
    tokens: dict[str, Secret] = {}


class Settings(msgspec.Struct, frozen=True):
    mode: Literal["test", "live"] = "test"
    data_dir: Path = Path("./data")
    http: Http = Http()
    payment: Http = Http(port=8082)
    retry: Retry = Retry()
    security: Security = Security()
    url: str | None = None
    rate: float = 1.5
    strict: bool = False


class Strict(msgspec.Struct, frozen=True):
    name: str
    count: int = 1


def mistake(**options: object) -> str:
    options.setdefault("environment", {})
    with pytest.raises(ConfigurationError) as caught:
        load(Settings, **options)  # type: ignore[arg-type]
    return str(caught.value)


def toml(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mill.toml"
    file.write_text(text)
    return file


def test_without_anything_the_defaults_hold() -> None:
    loaded = load(Settings, environment={})
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}


def test_a_tables_own_default_rules_over_its_fields() -> None:
    assert load(Settings, environment={}).settings.payment.port == 8082
    assert load(Settings, environment={"ORDERMILL_PAYMENT_BIND": "::1"}).settings.payment == Http(
        "::1", 8082
    )


def test_later_layers_win_and_say_where_a_value_came_from(tmp_path: Path) -> None:
    file = toml(tmp_path, 'mode = "live"\n\n[http]\nport = 1\nbind = "::"\n[payment]\nport = 2\n')
    loaded = load(
        Settings,
        file=file,
        environment={"ORDERMILL_HTTP_PORT": "11", "ORDERMILL_PAYMENT_PORT": "12", "PATH": "/bin"},
        overrides=["payment.port=22"],
        defaults={"rate": 9.0, "http.port": 99},
    )
    assert loaded.settings == Settings(
        mode="live", http=Http("::", 11), payment=Http(port=22), rate=9.0
    )
    assert loaded.sources["mode"] == f"{file}:1"
    assert loaded.sources["http.bind"] == f"{file}:5"
    assert loaded.sources["http.port"] == "ORDERMILL_HTTP_PORT"
    assert loaded.sources["payment.port"] == "--set"
    assert loaded.sources["rate"] == "default"


def test_a_wrong_variable_is_named_with_what_it_accepts_and_what_it_got() -> None:
    assert mistake(environment={"ORDERMILL_HTTP_PORT": "abc"}) == (
        'ORDERMILL_HTTP_PORT: expected an integer 0..65535, got "abc"'
    )


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("http.port=70000", '--set http.port: expected an integer 0..65535, got "70000"'),
        ("mode=prod", '--set mode: expected one of live, test, got "prod"'),
        ("strict=maybe", '--set strict: expected true or false, got "maybe"'),
        ("rate=fast", '--set rate: expected a number, got "fast"'),
        (
            "retry.tiers_s=1,-5",
            "--set retry.tiers_s: expected a list of length >= 1, each item a number > 0, got",
        ),
        ("retry.tiers_s=[1", "--set retry.tiers_s: expected a list"),
        ("retry.attempts_max=1", "retry.attempts_max: fewer attempts than tiers"),
        ("mode", "--set mode: expected key=value"),
        ("http.prot=1", "--set http.prot: no such setting; did you mean http.port?"),
        ("zzz=1", "--set zzz: no such setting"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(override: str, expected: str) -> None:
    assert mistake(overrides=[override]).startswith(expected)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = toml(tmp_path, "rate = true\nhttp = 4\n[retry]\nattempt_max = 3\n")
    text = mistake(file=file, environment={"ORDERMILL_MODE": ""}, overrides=["url"])
    assert text.splitlines() == [
        f'{file}:1: rate: expected a number, got "true"',
        f"{file}: http: expected a table",
        f"{file}:4: retry.attempt_max: no such setting; did you mean retry.attempts_max?",
        'ORDERMILL_MODE: expected one of live, test, got ""',
        "--set url: expected key=value",
    ]


def test_an_unknown_variable_with_the_prefix_is_a_mistake_with_a_suggestion() -> None:
    text = mistake(environment={"ORDERMILL_HTP_PORT": "1"})
    assert text == "ORDERMILL_HTP_PORT: no such setting; did you mean ORDERMILL_HTTP_PORT?"


def test_variables_of_others_are_left_alone() -> None:
    environment = {"ORDERMILL_URL_": "x", "HTTP_PORT": "abc"}
    assert load(Settings, environment=environment, ignored=("ORDERMILL_URL_",)).settings == (
        Settings()
    )


def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    file = toml(tmp_path, "[sim.ci]\nseeds = 4\n")
    assert load(Settings, file=file, environment={}, foreign_tables=("sim",)).settings == Settings()
    assert "sim: no such setting" in mistake(file=file)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("a = = 1", "is not valid TOML"), (None, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, text: str | None, complaint: str
) -> None:
    file = tmp_path / "mill.toml" if text is None else toml(tmp_path, text)
    assert mistake(file=file).startswith(f"{file}: {complaint}")


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mill.toml"
    file.write_bytes(b"mode = '\xff'")
    assert mistake(file=file) == f"{file}: is not UTF-8 text"


@pytest.mark.parametrize(("text", "tiers"), [("2", (2,)), ("1, 2.5", (1, 2.5)), ("[3, 4]", (3, 4))])
def test_a_list_is_written_with_commas_or_as_json(text: str, tiers: tuple[float, ...]) -> None:
    assert load(Settings, environment={"ORDERMILL_RETRY_TIERS_S": text}).settings.retry.tiers_s == (
        tiers
    )


@pytest.mark.parametrize(("text", "url"), [("none", None), ("", None), ("http://x", "http://x")])
def test_an_optional_setting_can_be_unset(text: str, url: str | None) -> None:
    assert load(Settings, environment={"ORDERMILL_URL": text}).settings.url == url


def test_a_path_is_a_path() -> None:
    assert load(Settings, overrides=["data_dir=/var/x"], environment={}).settings.data_dir == Path(
        "/var/x"
    )


def test_a_required_setting_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"name: is required: text .*ORDERMILL_NAME"):
        load(Strict, environment={})
    assert load(Strict, overrides=["name=x"], environment={}).settings == Strict("x")


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ORDERMILL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORDERMILL_RATE", "7")
    assert load(Settings).settings.rate == 7.0


CANARY = "hunter2-canary"


def test_a_secret_prints_as_stars_everywhere() -> None:
    loaded = load(Settings, environment={"ORDERMILL_SECURITY_SECRET": CANARY})
    secret = loaded.settings.security.secret
    assert secret is not None
    assert secret.reveal() == CANARY
    assert CANARY not in f"{secret} {secret!r} {loaded!r} {loaded.settings} %s" % secret
    assert secret == Secret(CANARY) != Secret("other")
    assert secret != CANARY
    assert len({secret, Secret(CANARY)}) == 1
    assert not Secret("")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("embedded", "embedded"),
        ("", ""),
        ("amqp://mq.example/orders", "amqp://mq.example/orders"),
        (f"amqp://shop:{CANARY}@mq.example:5672/", "amqp://shop:***@mq.example:5672/"),
        (f"amqp://shop:{CANARY}@[::1]:5672/", "amqp://shop:***@[::1]:5672/"),
        (f"amqp://{CANARY}@mq.example", "amqp://***@mq.example"),
        (f"amqps://mq.example/?password={CANARY}", "amqps://mq.example/?***"),
        (f"amqp://shop:{CANARY}", "***"),
        (f"amqp://shop:{CANARY}/2@mq.example", "***"),
        (f"amqp://shop:{CANARY}#2@mq.example", "***"),
        (f"amqp://shop:2@{CANARY}@mq.example", "***"),
        (f"shop:{CANARY}@mq.example", "***"),
        (CANARY, "***"),
    ],
)
def test_a_secret_url_prints_without_its_password(text: str, printed: str) -> None:
    url = SecretUrl(text)
    assert f"{url} {url!r} {url}" == f"{printed} {printed} {printed}"
    assert (url.reveal(), bool(url), shown(url)) == (text, bool(text), printed)
    assert url == SecretUrl(text) != SecretUrl("other")


def test_a_secret_url_is_a_secret_setting() -> None:
    class Places(msgspec.Struct, frozen=True):
        broker: SecretUrl = SecretUrl(f"amqp://shop:{CANARY}@mq.example")

    (setting,) = describe(Places)
    assert (setting.secret, setting.accepts) == (True, "a URL")
    assert setting.default_text == "amqp://shop:***@mq.example"
    assert CANARY not in str(json_schema(Places))
    loaded = load(Places, environment={"ORDERMILL_BROKER": f"amqp://{CANARY}"})
    assert loaded.settings.broker.reveal() == f"amqp://{CANARY}"
    with pytest.raises(ConfigurationError) as caught:
        load(Places, environment={}, overrides=[f"broker=[{CANARY}", f"brokr={CANARY}"])
    assert CANARY not in str(caught.value)


def test_a_secret_is_never_echoed(tmp_path: Path) -> None:
    file = toml(tmp_path, f"[security.tokens]\nwarehouse = ['{CANARY}']\n")
    text = mistake(
        file=file,
        environment={"ORDERMILL_SECURITY_TOKENS": f"[{CANARY}"},
        overrides=[f"security.tokens={CANARY}", f"security.secrte={CANARY}"],
    )
    assert CANARY not in text
    assert len(text.splitlines()) == 4


def test_a_secret_may_be_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY + "\n")
    loaded = load(Settings, environment={"ORDERMILL_SECURITY_SECRET_FILE": str(file)})
    assert loaded.settings.security.secret == Secret(CANARY)
    assert loaded.sources["security.secret"] == "ORDERMILL_SECURITY_SECRET_FILE"


def test_a_secret_file_is_refused_where_it_makes_no_sense(tmp_path: Path) -> None:
    text = mistake(
        environment={
            "ORDERMILL_SECURITY_SECRET_FILE": str(tmp_path / "missing"),
            "ORDERMILL_HTTP_PORT_FILE": str(tmp_path / "port"),
        }
    )
    assert "ORDERMILL_SECURITY_SECRET_FILE: cannot read" in text
    assert "ORDERMILL_HTTP_PORT_FILE: no such setting; did you mean ORDERMILL_HTTP_PORT?" in text
    text = mistake(
        environment={
            "ORDERMILL_SECURITY_SECRET": "x",
            "ORDERMILL_SECURITY_SECRET_FILE": str(tmp_path / "missing"),
        }
    )
    assert "ORDERMILL_SECURITY_SECRET is set too" in text


def test_describe_names_every_setting() -> None:
    settings = {setting.key: setting for setting in describe(Settings)}
    port = settings["http.port"]
    assert (port.variable, port.accepts, port.default_text, port.description) == (
        "ORDERMILL_HTTP_PORT",
        "an integer 0..65535",
        "8080",
        "TCP port; 0 takes a free one",
    )
    assert settings["payment.port"].default_text == "8082"
    assert settings["security.secret"].accepts == "a secret or none"
    assert settings["security.secret"].secret
    assert settings["security.tokens"].default_text == "{}"
    assert settings["retry.tiers_s"].default_text == "[1, 5]"
    assert settings["url"].default_text == ""
    assert describe(Strict)[0].required


def test_the_json_schema_knows_secrets_and_paths() -> None:
    schema = json_schema(Settings)
    properties = schema["properties"]
    assert properties["data_dir"] == {"type": "string", "format": "path", "default": "data"}
    assert {"type": "string", "writeOnly": True} in (
        properties["security"]["properties"]["secret"]["anyOf"]
    )
    port = properties["payment"]["properties"]["port"]
    assert (port["maximum"], port["default"]) == (65535, 8082)
    assert json_schema(Strict)["required"] == ["name"]


@settings(deadline=None)
@given(st.integers(-100_000, 100_000))
def test_a_number_is_taken_if_and_only_if_it_is_in_range(port: int) -> None:
    environment = {"ORDERMILL_HTTP_PORT": str(port)}
    if 0 <= port <= 65535:
        assert load(Settings, environment=environment).settings.http.port == port
    else:
        assert f'got "{port}"' in mistake(environment=environment)


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_text_does_worse_than_a_configuration_error(key: str, value: str) -> None:
    for name in (key, "http.port", "retry.tiers_s", "security.tokens", "url"):
        with suppress(ConfigurationError):
            load(Settings, environment={}, overrides=[f"{name}={value}"])
