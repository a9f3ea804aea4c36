"""The tutorials' texts as HTML."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

_LEXERS: Final = {"python": "python", "html": "html", "js": "javascript", "diff": "python"}
_LINK: Final = re.compile(r'<a href="([^"]*)">(.*?)</a>')
_TITLE: Final = re.compile(r"^# .+\n", re.MULTILINE)
_INSIDE: Final = re.compile(r"(?:\.\./)*(?:(\d\d)-\w+/)?(?:step-(\d+)/)?README\.md")


@cache
def page(text: str, tutorial: int) -> Markup:
    """Return a text without its title; its links lead to the pages here, or nowhere."""
    html = _markdown().render(_TITLE.sub("", text, count=1))
    html = _LINK.sub(lambda match: _link(match[1], match[2], tutorial), html)
    return Markup(html)  # ours, and rendered without raw HTML


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "highlight": _code}).enable("table")


def _code(code: str, language: str, file: str) -> str:
    title = f' data-file="{escape(file)}"' if file else ""
    code = code.lstrip("\n")  # a change may begin with what is blank around it
    lines = _colored(code, _LEXERS.get(language)).split("\n")
    if language == "diff":
        lines = [_changed(line) for line in lines]
    elif language == "console":
        lines = [f"<kbd>{line}</kbd>" if line.startswith("$ ") else line for line in lines]
    body = "\n".join(lines)
    return f'<pre class="{escape(language)}"{title} tabindex="0"><code>{body}</code></pre>'


def _colored(code: str, lexer: str | None) -> str:
    if lexer is None:
        return escape(code)
    return str(highlight(code, get_lexer_by_name(lexer, stripnl=False), HtmlFormatter(nowrap=True)))


def _changed(line: str) -> str:
    """Mark a line of a diff. Its first character may be in a span of its own."""
    plain = re.sub(r"<[^>]+>", "", line)
    if plain.startswith("@@"):
        return "@@"  # and further below
    kind = {"+": "ins", "-": "del"}.get(plain[:1])
    return f"<{kind}>{line}</{kind}>" if kind else line


def _link(to: str, words: str, tutorial: int) -> str:
    if "://" in to:
        return f'<a href="{to}">{words}</a>'
    match = _INSIDE.fullmatch(to)
    if match is None or (match[1] is None and match[2] is None):
        return words  # a file beside the code, which isn't served
    number = int(match[1]) if match[1] else tutorial
    return f'<a href="/learn/{number}{"/" + match[2] if match[2] else ""}">{words}</a>'
