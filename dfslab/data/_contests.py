"""Contests and their prizes: a simple JSON or CSV, DraftKings' own API JSON, or a list of either."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from dfslab.data._files import read_json, read_strings
from dfslab.data._json import Id, Text, checked, number
from dfslab.data._schema import TABLES
from dfslab.data._tables import conform, number_of
from dfslab.errors import InputError, UserError
from dfslab.slate import Contest

MAX_ENTRIES = 10_000_000
"""The largest contest so far held about 1.2 million entries; more is a typing error."""

_Money = number(0)
_Entries = number(1, MAX_ENTRIES, whole=True, hint="write how many entries the contest holds, a whole number")


class _Payout(BaseModel):
    min_rank: _Money
    max_rank: _Money
    prize: _Money


class _Contest(BaseModel):
    """A contest in our own keys."""

    payouts: list[_Payout] = Field(min_length=1)
    entry_fee: _Money
    entries: _Entries
    max_entries_per_user: _Money | None = None
    pool: _Money | None = None
    name: Text = ""
    contest_id: Id | None = None


class _Prize(BaseModel):
    value: _Money | None = None
    payoutDescription: Text = ""


class _Tier(BaseModel):
    minPosition: _Money
    maxPosition: _Money
    payoutDescriptions: list[_Prize]
    tierPayoutDescriptions: dict[str, Any] | None = None


class _Detail(BaseModel):
    """A contest as DraftKings' API answers."""

    payoutSummary: list[_Tier]
    entryFee: _Money
    maximumEntries: _Entries
    maximumEntriesPerUser: _Money | None = None
    totalPayouts: _Money | None = None
    name: Text = ""
    contestName: Text = ""
    contestId: Id | None = None
    contestKey: Id | None = None
    id: Id | None = None


class _Answer(BaseModel):
    contestDetail: _Detail


def read_contests(path) -> list[Contest]:
    """Return the contests of a file, `.csv` as a table, anything else as JSON.

    JSON may be one contest or a list: our own keys (entry_fee, entries, payouts, …) or DraftKings' `contestDetail`.
    Tickets count at their face value, and the contest's `notes` say how many.

    Raises
    ------
    InputError : a key is missing, a ticket has no value, nothing is paid, or the prizes overlap, leave a gap, or
        contradict the advertised pool
    """
    if Path(path).suffix.lower() == ".csv":
        return _contests_of_table(conform(read_strings(path), TABLES["payouts"], path), path)
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("contests"), list):
        content = content["contests"]
    entries = content if isinstance(content, list) else [content]
    if not entries:
        raise InputError(f"{path}: the list of contests is empty; add one or remove the file")
    found = [
        _contest(item, f"{path}, contest {n}" if len(entries) > 1 else str(path)) for n, item in enumerate(entries, 1)
    ]
    by_id: dict[str, Contest] = {}
    for contest in found:
        other = by_id.setdefault(contest.contest_id or str(id(contest)), contest)
        if not np.array_equal(other.prizes, contest.prizes) or other.entry_fee != contest.entry_fee:
            raise InputError(f"{path}: contest_id {contest.contest_id} stands for two contests; correct one of them")
    return found


def read_contest(path) -> Contest:
    """Return the first contest of a file (see `read_contests`)."""
    return read_contests(path)[0]


def _contests_of_table(table: pd.DataFrame, where) -> list[Contest]:
    key = [name for name in ("contest_id", "name") if name in table]
    groups = table.groupby(key, dropna=False, sort=False) if key else [((), table)]
    return [_contest_of_rows(rows, where) for _, rows in groups]


def _contest_of_rows(rows: pd.DataFrame, where) -> Contest:
    facts = {name: rows[name].iloc[0] for name in TABLES["payouts"].names if name in rows}
    for name in ("entry_fee", "entries", "max_entries_per_user", "pool"):
        if name in rows and rows[name].nunique(dropna=False) > 1:
            raise InputError(f"{where}: {name} differs between rows of one contest; write the same in each")
    facts = {name: value for name, value in facts.items() if pd.notna(value)}
    payouts = rows[["min_rank", "max_rank", "prize"]].to_dict("records")
    return _contest({**facts, "entries": int(facts["entries"]), "payouts": payouts}, where)


def _contest(item, where: str) -> Contest:
    notes: tuple[str, ...] = ()
    if isinstance(item, dict) and "contestDetail" in item:
        detail = checked(_Answer, item, where, "save the whole answer of the contest page").contestDetail
        item, notes = _of_api(detail, where)
    known = checked(_Contest, item, where, "a contest needs entry_fee, entries and payouts")
    if not any(payout.prize for payout in known.payouts):
        raise InputError(f"{where}: no rank is paid anything; write the prizes in dollars")
    facts = {**known.model_dump(), "entries": int(known.entries), "contest_id": known.contest_id or ""}
    try:
        return Contest(**facts, notes=notes)
    except UserError as error:
        raise InputError(f"{where}: {error}") from None


def _of_api(detail: _Detail, where: str) -> tuple[dict, tuple[str, ...]]:
    """Return DraftKings' contest detail in our own keys, and what to know of its tickets."""
    rows, tickets, worth, stated = [], 0, 0.0, {}
    for n, tier in enumerate(detail.payoutSummary, 1):
        ranks, prize = tier.maxPosition - tier.minPosition + 1, 0.0
        for part in tier.payoutDescriptions:
            ticket, value = _is_ticket(part, tier), part.value or _stated(part.payoutDescription)
            if not value > 0:
                what = f"the {'ticket' if ticket else 'prize'} '{part.payoutDescription[:40]}' has no value"
                raise InputError(f"{where}, payoutSummary {n}: {what}; write its worth in dollars as its value")
            if not part.value:
                stated[part.payoutDescription[:40]] = value
            prize, tickets, worth = prize + value, tickets + int(ticket * ranks), worth + ticket * ranks * value
        rows.append({"min_rank": tier.minPosition, "max_rank": tier.maxPosition, "prize": prize})
    total = sum((row["max_rank"] - row["min_rank"] + 1) * row["prize"] for row in rows)
    cash_only = tickets and detail.totalPayouts is not None and abs(total - worth - detail.totalPayouts) < 0.005
    item = {
        "payouts": rows,
        "entry_fee": detail.entryFee,
        "entries": detail.maximumEntries,
        "max_entries_per_user": detail.maximumEntriesPerUser,
        "pool": None if cash_only else detail.totalPayouts,
        "name": detail.name or detail.contestName,
        "contest_id": detail.contestId or detail.contestKey or detail.id,
    }
    notes = [f"{tickets} prizes are tickets, counted at their face value."] if tickets else []
    notes += [
        f"'{words}' has no value in the file: counted as the ${value:,.2f} it names." for words, value in stated.items()
    ]
    return item, tuple(notes)


def _is_ticket(part: _Prize, tier: _Tier) -> bool:
    """Return whether a prize is a ticket: by the kind the tier names, else by its words."""
    kinds = {kind: str(words) for kind, words in (tier.tierPayoutDescriptions or {}).items()}
    mine = [kind for kind, words in kinds.items() if words == part.payoutDescription] or list(kinds)
    return mine[0].lower() != "cash" if len(mine) == 1 else "ticket" in part.payoutDescription.lower()


def _stated(words: str) -> float:
    found = re.search(r"\$\s*(\d[\d.,]*)", words)
    return number_of(found[1].rstrip(".,")) if found else 0.0
