"""Links between the documents lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import DOCUMENTS, Document

NAMES = sorted(path.name for path in DOCUMENTS.glob("*.md"))


def anchors(document: Document) -> set[str]:
    """Return what the headings of a document are called in links, as GitHub makes it."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ +(.*)$", document.prose, flags=re.MULTILINE)
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    """Within the project; addresses of the web are not tried."""
    document = Document(name)
    dead = []
    for _, target in document.links():
        file, _, anchor = target.partition("#")
        if "://" in file:
            continue
        path = (document.path.parent / file).resolve() if file else document.path
        if not path.exists() or (anchor and anchor not in anchors(Document(path.name))):
            dead.append(target)
    assert dead == []
