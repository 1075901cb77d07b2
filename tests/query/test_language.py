"""The language: what it means, and that nothing else passes."""

from __future__ import annotations

import pytest

from bridge.errors import QueryError
from bridge.query.language import DEPTH_MAX, LENGTH_MAX, parse_where
from bridge.query.nodes import TERMS_MAX, VALUES_MAX
from bridge.query.terms import Among, Comparison, Field, Junction, Missing, Negation, Truth

HOSTILE = (
    "",
    "device = 'a'; DROP TABLE twin",
    "device = 'a' -- comment",
    "device = 'a' /* comment */",
    "/* comment */ online",
    "PRAGMA user_version",
    "ATTACH 'x' AS y",
    "SELECT 1",
    "device IN (SELECT device FROM twin)",
    "EXISTS (SELECT 1)",
    "(SELECT 1) = version",
    "load_extension('x')",
    "randomblob(1000000000) = device",
    "reported.left(1)",
    "online UNION SELECT 1",
    "version + 1 = 2",
    "reported.a - reported.b < 2",
    "reported.a = reported.b",
    "CASE WHEN online THEN 1 END",
    "CAST(version AS TEXT) = '1'",
    "device || 'a' = 'b'",
    "device LIKE 'a' ESCAPE 'b'",
    "device GLOB '[a-z]'",
    "device LIKE '%%%%%%%%%'",
    "device COLLATE NOCASE = 'a'",
    "online AS x",
    "device device",
    "state = 'x'",
    "internals IS NULL",
    "main.twin.state = 'x'",
    "reported",
    "reported.*",
    'reported."a\\b" = 1',
    'reported."a""b" = 1',
    'reported."" = 1',
    "reported.a < true",
    "reported.a IN (1, 'a')",
    "reported.a IN ()",
    "reported.a = NULL",
    "reported.a IS 1",
    "version = 9223372036854775808",
    "version = 1e999",
    "version = ?",
    "version = :x",
    "version = 0x10",
    "device = x'00'",
    "1 = 1",
    "true",
    "'abc",
    "(online",
    "online)",
    "online AND",
    "device = 'a\0b'",
    "device = '\ud800'",
)

OVERSIZED = (
    "(" * (DEPTH_MAX + 1) + "online" + ")" * (DEPTH_MAX + 1),
    "(" * LENGTH_MAX,
    "NOT " * 1000 + "online",
    "version = " + "- " * 1000 + "1",
    "-".join(["version"] * 700) + " = 1",
    " AND ".join(["online"] * (TERMS_MAX + 1)),
    f"version IN ({','.join(['1'] * (VALUES_MAX + 1))})",
    f"version IN ({','.join(['1'] * 5000)})",
    "device = '" + "a" * LENGTH_MAX + "'",
    "reported" + ".a" * 40 + " = 1",
    "version = " + "9" * 5000,
)


def test_reads_the_example() -> None:
    """Comparisons and a bare boolean, joined."""
    assert parse_where("reported.battery < 20 AND desired.mode = 'eco' AND online") == Junction(
        "AND",
        (
            Comparison(Field(("reported", "battery")), "<", 20),
            Comparison(Field(("desired", "mode")), "=", "eco"),
            Truth(Field(("online",))),
        ),
    )


def test_turns_a_comparison_that_begins_with_the_value() -> None:
    """The field may stand behind."""
    assert parse_where("-2.5 <= version") == Comparison(Field(("version",)), ">=", -2.5)


def test_reads_keys_in_quotes_and_words_of_sql_as_keys() -> None:
    """Odd keys need quotes, keys that are words of SQL do not."""
    assert parse_where('reported."a-b.c".date IS NOT NULL') == Negation(
        Missing(Field(("reported", "a-b.c", "date")))
    )


def test_binds_not_before_and_before_or() -> None:
    """The order of SQL."""
    a, b, c = (Comparison(Field(("version",)), "=", n) for n in (1, 2, 3))
    assert parse_where("version = 1 OR NOT version = 2 AND version = 3") == Junction(
        "OR", (a, Junction("AND", (Negation(b), c)))
    )


def test_takes_as_many_values_as_it_says() -> None:
    """The bound itself is allowed, and a quote in a text is doubled."""
    values = tuple(f"it's {n % 10}" for n in range(VALUES_MAX))
    written = ",".join(f"'it''s {n % 10}'" for n in range(VALUES_MAX))
    assert parse_where(f"device NOT IN ({written})") == Negation(Among(Field(("device",)), values))


@pytest.mark.parametrize("text", HOSTILE)
def test_refuses_what_is_not_of_the_language(text: str) -> None:
    """With the project's own error, which says what is allowed."""
    with pytest.raises(QueryError) as refused:
        parse_where(text)
    assert "allowed" in str(refused.value)


@pytest.mark.parametrize("text", OVERSIZED, ids=range(len(OVERSIZED)))
def test_refuses_what_is_too_large(text: str) -> None:
    """With the project's own error, and without exhausting the stack."""
    with pytest.raises(QueryError):
        parse_where(text)


def test_says_where_the_mistake_is() -> None:
    """The position counts from one."""
    with pytest.raises(QueryError, match="at character 12"):
        parse_where("online AND batery < 3")


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ('desired.mode = "eco"', "a text stands in single quotes: 'eco'"),
        ("desired.mode = eco", "a text stands in single quotes: 'eco'"),
        ("device = lamp-1", "a text stands in single quotes: 'lamp-1'"),
        ("device IN (lamp-1, lamp-2)", "a text stands in single quotes: 'lamp-1'"),
        ("reported.a = reported.b", "a field is compared with a value"),
        ("reported.error = NULL", "write IS NULL"),
        ("reported.signal-strength > -70", 'write reported."signal-strength": '),
        ("reported.net-a.rx-rate BETWEEN 1 AND 2", 'write reported."net-a"."rx-rate": '),
        ("'reported.battery' < 20", "write reported.battery: "),
        ('"reported.battery" < 20', "write reported.battery: "),
        ("battery < 20", "what a device reports is reported.battery"),
        ("reported", "a key stands behind it: reported.KEY"),
        ("at > 1795463839", "write 1795463839000000: this looks like s"),
        ("at BETWEEN 1795463839593 AND 1795463839593678", "write 1795463839593000: "),
        ("at IN (1795463839593678000)", "write 1795463839593678: this looks like ns"),
        ("1795463839.5 < at", "write 1795463839000000: "),
        ("at >= '2026-11-25'", "write 1795564800000000: "),
        ("at >= 'yesterday'", "a time is a number of µs since 1970"),
    ],
)
def test_says_what_to_write_in_the_place_of_the_usual_slips(query: str, advice: str) -> None:
    """Beside what is allowed; and nothing is found by what was not meant."""
    with pytest.raises(QueryError) as refused:
        parse_where(query)
    assert refused.value.hint.startswith(advice)
    assert "allowed are" in refused.value.hint


@pytest.mark.parametrize("query", ["at > 0", "at < 1795463839593678", "at = 20.5", "at IS NULL"])
def test_other_times_are_taken_as_they_are(query: str) -> None:
    """Who asks for everything since 1970 may."""
    parse_where(query)
