"""The page at /docs: the OpenAPI document for people, as one file without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:.6rem;overflow:auto}code{font-size:.9em}"
    "h2{margin-top:2.5rem}td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}"
    "b{display:inline-block;min-width:4.5rem}"
)
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_EXAMPLES = {"device": "john", "name": "setup", "id": 7, "change": "5f0c2a91"}


def render_page(document: Mapping[str, Any], base_url: str) -> str:
    """Return the page.

    Args:
        document: The OpenAPI document.
        base_url: Where the API answers, for the commands.
    """
    parts = [*_operations(document, base_url.rstrip("/"))]
    title = html.escape(document["info"]["title"])
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{html.escape(document['info']['description'])} "
        "For programs: <a href=/openapi.json>openapi.json</a>.</p>" + "".join(parts) + "</html>"
    )


def _operations(document: Mapping[str, Any], base_url: str) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><b>{method.upper()}</b> <code>{html.escape(path)}</code></h2>"
            text = operation.get("description") or operation.get("summary", "")
            yield f"<p>{html.escape(text)}</p><table>"
            for parameter in operation.get("parameters", ()):
                name = html.escape(parameter["name"])
                about = html.escape(parameter.get("description", ""))
                yield f"<tr><td><code>{name}</code><td>{parameter['in']}<td>{about}"
            for status, answer in operation["responses"].items():
                yield f"<tr><td>{status}<td>answer<td>{html.escape(answer['description'])}"
            yield "</table>"
            yield f"<pre>{html.escape(_command(base_url, path, method, operation))}</pre>"


def _command(base_url: str, path: str, method: str, operation: Mapping[str, Any]) -> str:
    query = ""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter.get("required"):
            query += f"{'&' if query else '?'}{parameter['name']}=1"
    words = ["curl"]
    if method != "get":
        words += ["-X", method.upper()]
    body = operation.get("requestBody")
    if body:
        media_type, content = next(iter(body["content"].items()))
        words += ["-H", f"'Content-Type: {media_type}'"]
        words += ["-d", f"'{orjson.dumps(content['example']).decode()}'"]
    return " ".join([*words, f"'{base_url}{path.format(**_EXAMPLES)}{query}'"])
