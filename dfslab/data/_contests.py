"""Contests and their prizes: a simple JSON or CSV, DraftKings' own API JSON, or a list of either."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict, Field

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
_ALSO = {column.name: column.also for column in TABLES["payouts"].columns}
_ALSO |= {
    "payouts": ("payoutSummary",),
    "name": ("label", "contestName"),
    "contest_id": ("contestId", "contestKey", "id"),
}
"""What our own keys are called in DraftKings' answers."""


def _written(name: str) -> AliasChoices:
    return AliasChoices(name, *_ALSO.get(name, ()))


class _Known(BaseModel):
    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=_written))


class _Prize(_Known):
    value: _Money | None = None
    payoutDescription: Text = ""


class _Payout(_Known):
    min_rank: _Money
    max_rank: _Money
    prize: _Money | None = None
    payoutDescriptions: list[_Prize] | None = None
    tierPayoutDescriptions: dict[str, Any] | None = None


class _Contest(_Known):
    """A contest in our own keys, or as DraftKings' API answers."""

    payouts: list[_Payout] = Field(min_length=1)
    entry_fee: _Money
    entries: _Entries
    max_entries_per_user: _Money | None = None
    pool: _Money | None = None
    name: Text = ""
    contest_id: Id | None = None


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
    many = len(entries) > 1
    found = [_contest(item, f"{path}, contest {n}" if many else str(path)) for n, item in enumerate(entries, 1)]
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
    found = []
    for _, rows in table.groupby(key, dropna=False, sort=False) if key else [((), table)]:
        for name in {"entry_fee", "entries", "max_entries_per_user", "pool"} & set(rows):
            if rows[name].nunique(dropna=False) > 1:
                raise InputError(f"{where}: {name} differs between rows of one contest; write the same in each")
        payouts = rows.to_dict("records")
        facts = {name: value for name, value in payouts[0].items() if name in _Contest.model_fields and pd.notna(value)}
        found.append(_contest({**facts, "payouts": payouts}, where))
    return found


def _contest(item, where: str) -> Contest:
    item = item.get("contestDetail", item) if isinstance(item, dict) else item
    item = {key: value for key, value in item.items() if value is not None} if isinstance(item, dict) else item
    known = checked(_Contest, item, where, "a contest needs entry_fee, entries and payouts: save the whole answer")
    rows, tickets, worth, stated = [], 0, 0.0, {}
    for n, tier in enumerate(known.payouts, 1):
        prizes = _prizes(tier, f"{where}, payout {n}")
        ranks = int(tier.max_rank - tier.min_rank + 1)
        rows.append({"min_rank": tier.min_rank, "max_rank": tier.max_rank, "prize": sum(p[0] for p in prizes)})
        tickets += ranks * sum(ticket for _, ticket, _ in prizes)
        worth += ranks * sum(value for value, ticket, _ in prizes if ticket)
        stated |= {words: value for value, _, words in prizes if words}
    if not any(row["prize"] for row in rows):
        raise InputError(f"{where}: no rank is paid anything; write the prizes in dollars")
    total = sum((row["max_rank"] - row["min_rank"] + 1) * row["prize"] for row in rows)
    cash_only = tickets and known.pool is not None and abs(total - worth - known.pool) < 0.005
    notes = [f"{tickets} prizes are tickets, counted at their face value."] if tickets else []
    notes += [
        f"'{what}' has no value in the file: counted as the ${value:,.2f} it names." for what, value in stated.items()
    ]
    facts = known.model_dump() | {"payouts": rows, "entries": int(known.entries), "contest_id": known.contest_id or ""}
    try:
        return Contest(**facts | ({"pool": None} if cash_only else {}), notes=tuple(notes))
    except UserError as error:
        raise InputError(f"{where}: {error}") from None


def _prizes(tier: _Payout, where: str) -> list[tuple[float, bool, str]]:
    """Return what a rank is paid: the worth of each part, whether it is a ticket, its words where they alone say it."""
    if tier.payoutDescriptions is None:
        if tier.prize is None:
            raise InputError(f"{where}: 'prize' is missing; write it in dollars")
        return [(tier.prize, False, "")]
    found = []
    for part in tier.payoutDescriptions:
        words, ticket, value = part.payoutDescription[:40], _is_ticket(part, tier), part.value
        value = value or _stated(part.payoutDescription)
        if not value > 0:
            what = f"the {'ticket' if ticket else 'prize'} '{words}' has no value"
            raise InputError(f"{where}: {what}; write its worth in dollars as its value")
        found.append((value, ticket, "" if part.value else words))
    return found


def _is_ticket(part: _Prize, tier: _Payout) -> bool:
    """Return whether a prize is a ticket: by the kind the tier names, else by its words."""
    kinds = {kind: str(words) for kind, words in (tier.tierPayoutDescriptions or {}).items()}
    mine = [kind for kind, words in kinds.items() if words == part.payoutDescription] or list(kinds)
    return mine[0].lower() != "cash" if len(mine) == 1 else "ticket" in part.payoutDescription.lower()


def _stated(words: str) -> float:
    found = re.search(r"\$\s*(\d[\d.,]*)", words)
    return number_of(found[1].rstrip(".,")) if found else 0.0
