"""A page as a browser without scripts sees it: elements, texts, forms that can be filled in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class Element:
    """One element: its attributes, and what is in it, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: "list[Element | str]" = field(default_factory=list)

    def walk(self) -> "Iterator[Element]":
        """Yield every element in it, outermost first."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.walk()

    def all(self, tag: str = "", **attributes: str) -> "list[Element]":
        """Return the elements in it with this tag and these attributes.

        Of a ``class_`` list, one is enough.
        """
        wanted = {name.rstrip("_").replace("_", "-"): text for name, text in attributes.items()}
        return [
            found
            for found in self.walk()
            if (not tag or found.tag == tag)
            and all(found.is_with(name, text) for name, text in wanted.items())
        ]

    def one(self, tag: str = "", **attributes: str) -> "Element":
        """Return the only element there is with this tag and these attributes."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of <{tag} {attributes}> in {self.text[:400]!r}"
        return found[0]

    def is_with(self, name: str, text: str) -> bool:
        """Whether it has this attribute; of a class list, one."""
        given = self.attributes.get(name)
        return given is not None and (text in given.split() if name == "class" else text == given)

    @property
    def text(self) -> str:
        """The words in it, parted by single spaces."""
        parts = (c if isinstance(c, str) else c.text for c in self.children)
        return " ".join(" ".join(parts).split())


class _Parser(HTMLParser):
    """Insists on what a browser would repair in silence: every element closed, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"an attribute twice on <{tag}>: {names}"
        element = Element(tag, {name: text or "" for name, text in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        opened = self._open.pop().tag
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def close(self) -> None:
        super().close()
        assert self._open == [self.root], f"<{self._open[-1].tag}> is never closed"


def parse(text: str) -> Element:
    """Return the page's root; AssertionError where tags do not match, or an id is there twice."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    ids = [found.attributes["id"] for found in parser.root.walk() if "id" in found.attributes]
    assert len(set(ids)) == len(ids), f"an id twice: {sorted(ids)}"
    return parser.root


@dataclass
class Form:
    """A form as it stands on a page; ``fields`` may be changed, and are sent as they are."""

    method: str
    action: str
    fields: dict[str, str]

    @classmethod
    def of(cls, element: Element, page_path: str) -> "Form":
        """Read what a browser would send if it were submitted untouched."""
        fields: dict[str, str] = {}
        for found in element.walk():
            name, value = found.attributes.get("name"), found.attributes.get("value", "")
            if name is None or "disabled" in found.attributes:
                continue
            if found.tag == "input" and found.attributes.get("type") in ("radio", "checkbox"):
                if "checked" in found.attributes:
                    fields[name] = value
            elif found.tag == "input":
                fields[name] = value
            elif found.tag == "textarea":
                fields[name] = found.text
            elif found.tag == "select":
                options = found.all("option")
                chosen = [row for row in options if "selected" in row.attributes] or options[:1]
                fields[name] = chosen[0].attributes.get("value", chosen[0].text)
        attributes = element.attributes
        return cls(attributes.get("method", "get"), attributes.get("action") or page_path, fields)
