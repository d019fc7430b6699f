import jinja2

from actors.gateway.pages.compiled import CompiledTemplates


def rendered(texts: dict[str, str], compiled: CompiledTemplates, **shown: str) -> str:
    loader = jinja2.DictLoader(texts)
    environment = jinja2.Environment(loader=loader, autoescape=True, bytecode_cache=compiled)
    environment.filters["loud"] = lambda text: f"{text}{shown['mark']}"
    return environment.get_template("page.html").render(shown)


def test_what_one_has_compiled_another_renders_with_its_own_filters_without_compiling() -> None:
    compiled = CompiledTemplates()
    texts = {"page.html": "{{ name | loud }}"}
    assert rendered(texts, compiled, name="<Ada>", mark="!") == "&lt;Ada&gt;!"
    kept = compiled._kept.copy()
    assert rendered(texts, compiled, name="Bob", mark="?") == "Bob?"
    assert len(kept) == 1
    assert compiled._kept == kept
    assert all(compiled._kept[key] is code for key, code in kept.items()), "it was compiled anew"


def test_a_template_of_another_text_is_another_one() -> None:
    compiled = CompiledTemplates()
    assert rendered({"page.html": "{{ name }}"}, compiled, name="Ada", mark="") == "Ada"
    assert rendered({"page.html": "not {{ name }}"}, compiled, name="Ada", mark="") == "not Ada"
