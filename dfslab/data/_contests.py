"""Contests and their prizes: a simple JSON or CSV, DraftKings' own API JSON, or a list of either."""

import math
import re
from pathlib import Path

import pandas as pd

from dfslab.data._files import read_json, read_strings
from dfslab.data._schema import PAYOUTS
from dfslab.data._tables import conform
from dfslab.errors import InputError, UserError
from dfslab.slate import Contest

__all__ = ["read_contest", "read_contests"]

MAX_ENTRIES = 10_000_000
"""The largest contest so far held about 1.2 million entries; more is a typing error."""


def read_contests(path) -> list[Contest]:
    """Return the contests of a file, `.csv` as a table, anything else as JSON.

    JSON may be one contest or a list: our own keys (entry_fee, entries, payouts, …) or DraftKings' `contestDetail`.
    Tickets count at their face value, and the contest's `notes` say how many.

    Raises
    ------
    InputError : a key is missing, or the prizes overlap, leave a gap, or contradict the advertised pool
    """
    if Path(path).suffix.lower() == ".csv":
        return _contests_of_table(conform(read_strings(path), PAYOUTS, path), path)
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("contests"), list):
        content = content["contests"]
    entries = content if isinstance(content, list) else [content]
    if not entries:
        raise InputError(f"{path}: the list of contests is empty; add one or remove the file")
    return [
        _contest(item, f"{path}, contest {n}" if len(entries) > 1 else str(path)) for n, item in enumerate(entries, 1)
    ]


def read_contest(path) -> Contest:
    """Return the first contest of a file (see `read_contests`)."""
    return read_contests(path)[0]


def _contests_of_table(table: pd.DataFrame, where) -> list[Contest]:
    key = [name for name in ("contest_id", "name") if name in table]
    groups = table.groupby(key, dropna=False, sort=False) if key else [((), table)]
    return [_contest_of_rows(rows, where) for _, rows in groups]


def _contest_of_rows(rows: pd.DataFrame, where) -> Contest:
    facts = {name: rows[name].iloc[0] for name in PAYOUTS.names if name in rows}
    for name in ("entry_fee", "entries", "max_entries_per_user", "pool"):
        if name in rows and rows[name].nunique(dropna=False) > 1:
            raise InputError(f"{where}: {name} differs between rows of one contest; write the same in each")
    facts = {name: value for name, value in facts.items() if pd.notna(value)}
    return _contest({**facts, "payouts": rows[["min_rank", "max_rank", "prize"]].to_dict("records")}, where)


def _contest(item, where: str) -> Contest:
    if not isinstance(item, dict):
        raise InputError(f"{where}: a contest must be an object with entry_fee, entries and payouts")
    notes: tuple[str, ...] = ()
    if "contestDetail" in item:
        item, notes = _of_api(item["contestDetail"], where)
    payouts = _payout_rows(item, where)
    limit = _money(item.get("max_entries_per_user"), "max_entries_per_user", where, optional=True)
    entries = _money(_key(item, "entries", where), "entries", where)
    if not 1 <= entries <= MAX_ENTRIES or entries % 1:
        raise InputError(f"{where}: entries is {entries:g}; write how many entries the contest holds, a whole number")
    try:
        return Contest(
            entry_fee=_money(_key(item, "entry_fee", where), "entry_fee", where),
            entries=int(entries),
            payouts=payouts,
            max_entries_per_user=limit,
            pool=_money(item.get("pool"), "pool", where, optional=True),
            name=str(item.get("name") or ""),
            contest_id=_id_text(item.get("contest_id")),
            notes=notes,
        )
    except UserError as error:
        raise InputError(f"{where}: {error}") from None


def _id_text(value) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _key(item: dict, name: str, where: str):
    if item.get(name) is None:
        raise InputError(f"{where}: '{name}' is missing; a contest needs entry_fee, entries and payouts")
    return item[name]


def _payout_rows(item: dict, where: str) -> list[dict]:
    rows = _key(item, "payouts", where)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{where}: payouts must be a list of objects with min_rank, max_rank and prize")
    names = ("min_rank", "max_rank", "prize")
    return [
        {name: _money(_key(row, name, f"{where}, payout {n}"), name, f"{where}, payout {n}") for name in names}
        for n, row in enumerate(rows, 1)
    ]


def _money(value, name: str, where: str, optional: bool = False) -> float | None:
    if value is None and optional:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value.replace("$", "").replace(",", "")) if isinstance(value, str) else float(value)
        if not math.isfinite(number) or not 0 <= number <= 1e10:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: {name} is {str(value)[:40]!r}; write a number, 0 or more") from None
    return number


def _of_api(detail, where: str) -> tuple[dict, tuple[str, ...]]:
    """Return DraftKings' contest detail in our own keys, and a sentence about tickets."""
    if not isinstance(detail, dict) or not isinstance(detail.get("payoutSummary"), list):
        raise InputError(f"{where}: contestDetail has no payoutSummary; save the whole answer of the contest page")
    rows, tickets = [], 0
    for n, tier in enumerate(detail["payoutSummary"], 1):
        here = f"{where}, payoutSummary {n}"
        if not isinstance(tier, dict) or not isinstance(tier.get("payoutDescriptions"), list):
            raise InputError(f"{here}: payoutDescriptions is missing; save the whole answer of the contest page")
        low, high = (_money(_key(tier, name, here), name, here) for name in ("minPosition", "maxPosition"))
        values = [_prize(part, here) for part in tier["payoutDescriptions"]]
        rows.append({"min_rank": low, "max_rank": high, "prize": sum(value for value, _ in values)})
        tickets += int(high - low + 1) * sum(ticket for _, ticket in values)
    item = {
        "payouts": rows,
        "entry_fee": detail.get("entryFee"),
        "entries": detail.get("maximumEntries"),
        "max_entries_per_user": detail.get("maximumEntriesPerUser"),
        "pool": detail.get("totalPayouts"),
        "name": detail.get("name") or detail.get("contestName"),
        "contest_id": next((detail[k] for k in ("contestId", "contestKey", "id") if detail.get(k)), None),
    }
    return item, (f"{tickets} prizes are tickets, counted at their face value.",) if tickets else ()


def _prize(part, where: str) -> tuple[float, bool]:
    if not isinstance(part, dict):
        raise InputError(f"{where}: a payout description must be an object with a value")
    words = str(part.get("payoutDescription") or "")
    value = part.get("value")
    if value is None:
        found = re.search(r"\$\s*([\d,]+(?:\.\d+)?)", words)
        if not found:
            raise InputError(f"{where}: the prize '{words[:40]}' has no value; write its worth in dollars")
        value = found.group(1)
    return _money(value, "value", where), "ticket" in words.lower()
