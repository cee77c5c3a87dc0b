"""``headfit cache``: what headfit keeps on disk so that nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from headfit.cli.command import OUTPUT, Command
from headfit.cli.console import output
from headfit.cli.echo import echo
from headfit.cli.options import REPORTING, option
from headfit.cli.tables import plain_table, print_json
from headfit.features.store import damage as damage_of_store
from headfit.samples.folder import damage as damage_of_sample
from headfit.util import cache, pruning
from headfit.util.cache import Cache, Entry
from headfit.util.machine import in_words
from headfit.util.nouns import counted

REMOVAL = "Removal"
GB = 1e9
EXAMPLES = """\b
Examples:
  headfit cache list
  headfit cache size
  headfit cache verify
  headfit cache prune --older-than 30 --dry-run
  headfit cache prune --to 5
"""
PRUNE_EXAMPLES = """\b
Examples:
  headfit cache prune                          entries of earlier formats only
  headfit cache prune --older-than 30          also those not used for 30 days
  headfit cache prune --to 5 --dry-run         show what to remove to keep 5 GB
"""
# these caches check their folders themselves
CHECKS: dict[Cache, Callable[[Path], list[str]]] = {
    cache.FEATURES: damage_of_store,
    cache.SAMPLES: damage_of_sample,
}


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List, verify and prune the cached results of earlier runs.

    Feature maps, graphs and fits are cached in the folder HEADFIT_HOME, or in the platform's cache
    folder, so nothing is computed twice. Removed entries are computed again when needed.
    """


@command.command("list", cls=Command)
@REPORTING
def list_caches(as_json: bool, debug: bool) -> None:
    """List the caches: entries, size, last use, format."""
    records = [_record(*group) for group in _groups()]
    if as_json:
        print_json(records)
        return
    rows = [
        [
            each["cache"],
            each["holds"] if each["current"] else f"{each['holds']}: outdated, not used",
            f"{each['entries']:,}",
            in_words(each["bytes"]),
            (each["last_use"] or "never")[:10],
            "" if each["format"] is None else str(each["format"]),
        ]
        for each in records
    ]
    _print(("cache", "holds", "entries", "size", "last use", "format"), rows)


@command.command(cls=Command)
@REPORTING
def size(as_json: bool, debug: bool) -> None:
    """Print the size of each cache and the total."""
    entries = cache.entries()
    total = sum(entry.size for entry in entries)
    sizes = {
        each.name: sum(entry.size for entry in entries if entry.cache is each)
        for each in cache.CACHES
    }
    if as_json:
        record = {
            "folder": str(cache.home()),
            "bytes": total,
            "caches": [{"cache": name, "bytes": each} for name, each in sizes.items()],
        }
        print_json(record)
        return
    rows = [[name, in_words(each)] for name, each in [*sizes.items(), ("total", total)]]
    _print(("cache", "size"), rows)


@command.command(cls=Command)
@REPORTING
def verify(as_json: bool, debug: bool) -> int:
    """Check every entry against its digest.

    The exit code is 1 if an entry is damaged. Damaged entries are never used: the next run computes
    them again.
    """
    current = [entry for entry in cache.entries() if entry.format == entry.cache.format]
    damaged = []
    for entry in current:
        names = CHECKS.get(entry.cache, cache.damage)(entry.path)
        if names:
            damaged.append({"cache": entry.cache.name, "path": str(entry.path), "files": names})
    if as_json:
        print_json({"entries": len(current), "damaged": damaged})
        return int(bool(damaged))
    for each in damaged:
        echo(f"Damaged: {each['path']}: {', '.join(each['files'])}")
    echo(f"{counted(len(current), 'entry', 'entries')} checked, {len(damaged):,} damaged.")
    return int(bool(damaged))


@command.command(cls=Command, epilog=PRUNE_EXAMPLES)
@option(
    REMOVAL,
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Also remove entries that have not been used for this many days.",
)
@option(
    REMOVAL,
    "--to",
    type=click.FloatRange(min=0),
    metavar="GB",
    help="Also remove the least recently used entries until this many gigabytes remain.",
)
@option(OUTPUT, "--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@REPORTING
def prune(
    older_than: float | None, to: float | None, dry_run: bool, as_json: bool, debug: bool
) -> int:
    """Remove outdated and unused entries.

    Entries of earlier formats are always removed, since no run reads them. Links are not followed,
    and nothing outside the cache folder is removed. Do not prune during a run: it may be using the
    removed entries.
    """
    limit = None if to is None else to * GB
    pruned = pruning.prune(older_than, limit, dry_run=dry_run)
    if as_json:
        record = {
            "dry_run": dry_run,
            "removed": [{**_entry(entry), "reason": why} for entry, why in pruned.removed],
            "failed": [_entry(entry) for entry in pruned.failed],
            "bytes_left": pruned.left,
        }
        print_json(record)
        return int(bool(pruned.failed))
    verb = "Would remove" if dry_run else "Removed"
    for entry, why in pruned.removed:
        path = entry.path.relative_to(cache.home())
        echo(f"{verb} {path} ({in_words(entry.size)}, {why})")
    for entry in pruned.failed:
        echo(f"Cannot remove {entry.path}: it is in use or protected.", err=True)
    freed = sum(entry.size for entry, _ in pruned.removed)
    count = len(pruned.removed)
    echo(
        f"{verb} {count:,} {'entry' if count == 1 else 'entries'}, {in_words(freed)}; "
        f"{in_words(pruned.left)} left in {cache.home()}."
    )
    return int(bool(pruned.failed))


def _groups() -> list[tuple[Cache, int | None, list[Entry]]]:
    """Gather entries by cache and format; each cache is there, with entries or without."""
    groups: dict[tuple[Cache, int | None], list[Entry]] = {
        (each, each.format): [] for each in cache.CACHES
    }
    for entry in cache.entries():
        groups.setdefault((entry.cache, entry.format), []).append(entry)
    order = {each.name: number for number, each in enumerate(cache.CACHES)}
    items = sorted(groups.items(), key=lambda item: (order[item[0][0].name], -(item[0][1] or 0)))
    return [(which, number, entries) for (which, number), entries in items]


def _record(which: Cache, number: int | None, entries: list[Entry]) -> dict[str, Any]:
    return {
        "cache": which.name,
        "holds": which.holds,
        "format": number,
        "current": number == which.format,
        "entries": len(entries),
        "bytes": sum(entry.size for entry in entries),
        "last_use": max((_time(entry.last_use) for entry in entries), default=None),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "cache": entry.cache.name,
        "format": entry.format,
        "path": str(entry.path),
        "bytes": entry.size,
        "last_use": _time(entry.last_use),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    echo(str(cache.home()))
    table = plain_table(columns, {"entries", "size", "format"})
    for row in rows:
        table.add_row(*row)
    output().print(table)
