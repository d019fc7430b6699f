"""From what a person types to a run."""

from pathlib import Path

import pytest

from runtime.errors import ConfigurationError
from sim import corpus, outcome
from sim import plan as plans
from sim.corpus import Entry
from sim.find import Places, find
from sim.plan import Plan
from sim.token import Token, parse_seed, parse_token
from tests.sim.plans import kill, plan


@pytest.fixture(autouse=True)
def _drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(scenario: str, seed: int, **_wishes: object) -> Plan:
        return plan(seed)

    monkeypatch.setattr(outcome, "draw", draw)


@pytest.fixture(name="places")
def _places(tmp_path: Path) -> Places:
    return Places(tmp_path / "reports", tmp_path / "seeds")


def _write(places: Places, name: str, kept: Plan) -> Path:
    folder = places.reports / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_bytes(plans.to_json(kept))
    return folder


def test_a_token_says_what_it_was_made_of() -> None:
    token = Token("cancel-races", 0x7F3A91, "b81e0a2c")
    assert str(token) == "cancel-races:0x7f3a91:b81e0a2c"
    assert parse_token(str(token)) == token
    assert parse_token("everything:12") == Token("everything", 12)


@pytest.mark.parametrize(
    "text", ["everything", "everything:", "everything:0xzz", "Ev:1", "a:1:zz", ""]
)
def test_what_is_no_token_is_an_error_that_says_so(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        parse_token(text)


def test_a_commit_is_a_seed() -> None:
    assert parse_seed("1f3c9ab") == 0x1F3C9AB
    assert parse_seed("0x1F") == 31
    with pytest.raises(ConfigurationError, match="no seed"):
        parse_seed("-1")


def test_a_token_is_drawn(places: Places) -> None:
    found = find("everything:0x7", places)
    assert found.task.planned() == plan(7)
    assert found.task.plan is None
    assert find(str(found.token), places).task == found.task


def test_a_plan_that_was_shrunk_is_found_by_its_hash_among_the_reports(places: Places) -> None:
    small = plan(7, orders=())
    folder = _write(places, "everything-0x7", small)
    found = find(f"everything:7:{small.digest()[:5]}", places)
    assert found.task.planned() == small
    assert found.folder == folder


def test_a_folder_and_a_plan_file_are_runs(places: Places) -> None:
    folder = _write(places, "anything", plan(9, faults=(kill(1, 2.0),)))
    for text in (str(folder), str(folder / "plan.json")):
        assert find(text, places).task.planned() == plan(9, faults=(kill(1, 2.0),))


def test_a_name_of_the_corpus_is_a_run(places: Places) -> None:
    entry = Entry(why="it lost one", violation="kept", found="2026-01-01", plan=plan(5))
    corpus.add(places.corpus, "lost-one", entry)
    assert find("lost-one", places).task.planned() == plan(5)
    assert find("lost-one", places).task.corpus == "lost-one"
    by_hash = find(f"everything:5:{plan(5).digest()}", places)
    assert by_hash.task.planned() == plan(5)


def test_a_hash_that_nobody_knows_is_an_error_with_a_hint(places: Places) -> None:
    with pytest.raises(ConfigurationError, match="the plan drawn here is") as caught:
        find("everything:7:0000", places)
    assert "folder" in caught.value.hint


def test_the_corpus_keeps_what_it_has(places: Places) -> None:
    entry = Entry(why="it lost one", violation="kept", found="2026-01-01", plan=plan(5))
    path = corpus.add(places.corpus, "lost-one", entry)
    assert corpus.read_corpus(places.corpus) == {"lost-one": entry}
    with pytest.raises(ConfigurationError, match="there already"):
        corpus.add(places.corpus, "lost-one", entry)
    path.write_text('{"why": 1}')
    with pytest.raises(ConfigurationError, match=r"lost-one\.json"):
        corpus.read_corpus(places.corpus)
