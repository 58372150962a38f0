"""Contests and their prizes: a table, a JSON of the same columns, DraftKings' own API JSON, or a list of either."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import read_json
from dfslab.data._schema import TABLES, header_key
from dfslab.data._tables import from_objects, number_of, read_table
from dfslab.errors import InputError, UserError
from dfslab.slate import Contest

_SHARED = [*TABLES["payouts"].columns.values()][3:]
"""Columns of the payouts that say the same in every row of a contest."""
_SHARED_KEYS = {header_key(name) for column in _SHARED for name in (column.name, *column.also)}


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
        table = read_table(path, "payouts")
        key = [name for name in ("contest_id", "name") if name in table]
        groups = table.groupby(key or np.zeros(len(table)), dropna=False, sort=False)
        return [_contest(rows, path, _parts({}, path).assign(ranks=0)) for _, rows in groups]
    content = read_json(path)
    content = content.get("contests", content) if isinstance(content, dict) else content
    entries = content if isinstance(content, list) else [content]
    if not entries:
        raise InputError(f"{path}: the list of contests is empty; add one or remove the file")
    many = len(entries) > 1
    found = [_from_json(item, f"{path}, contest {n}" if many else str(path)) for n, item in enumerate(entries, 1)]
    by_id: dict[str, Contest] = {}
    for contest in found:
        other = by_id.setdefault(contest.contest_id or str(id(contest)), contest)
        if not np.array_equal(other.prizes, contest.prizes) or other.entry_fee != contest.entry_fee:
            raise InputError(f"{path}: contest_id {contest.contest_id} stands for two contests; correct one of them")
    return found


def read_contest(path) -> Contest:
    """Return the first contest of a file (see `read_contests`)."""
    return read_contests(path)[0]


def _from_json(item, where: str) -> Contest:
    item = item.get("contestDetail", item) if isinstance(item, dict) else {}
    tiers = item.get("payouts", item.get("payoutSummary"))
    if not isinstance(tiers, list) or not tiers or not all(isinstance(tier, dict) for tier in tiers):
        hint = "a contest needs entry_fee, entries and a list of payouts: save the whole answer"
        raise InputError(f"{where}: 'payouts' is missing or no list of objects; {hint}")
    parts = [_parts(tier, f"{where}, payout {n}") for n, tier in enumerate(tiers, 1)]
    facts = {key: value for key, value in item.items() if header_key(key) in _SHARED_KEYS}
    tiers = [{key: value for key, value in tier.items() if header_key(key) not in _SHARED_KEYS} for tier in tiers]
    paid = [{"prize": rows["value"].sum()} if len(rows) else {} for rows in parts]
    rows = [tier | of | facts for tier, of in zip(tiers, paid, strict=True)]
    table = from_objects(rows, "payouts", where, "payout")
    ranks = table["max_rank"] - table["min_rank"] + 1
    parts = [rows.assign(ranks=n) for rows, n in zip(parts, ranks, strict=True)]
    return _contest(table, where, pd.concat(parts))


def _contest(rows: pd.DataFrame, where, parts: pd.DataFrame) -> Contest:
    """Return the contest of its payouts; `parts` are what the prizes consist of, where the file tells."""
    shared = rows[[column.name for column in _SHARED if column.name in rows]]
    for name in shared.columns[shared.nunique(dropna=False) > 1]:
        raise InputError(f"{where}: {name} differs between rows of one contest; write the same in each")
    facts = {name: value for name, value in shared.to_dict("records")[0].items() if pd.notna(value)}
    if not rows["prize"].any():
        raise InputError(f"{where}: no rank is paid anything; write the prizes in dollars")
    notes, tickets = [], parts[parts["ticket"]]
    if len(tickets):
        notes.append(f"{tickets['ranks'].sum():.0f} prizes are tickets, counted at their face value.")
        cash = (rows["prize"] * (rows["max_rank"] - rows["min_rank"] + 1)).sum() - tickets["value"] @ tickets["ranks"]
        facts = {name: value for name, value in facts.items() if name != "pool" or abs(cash - value) >= 0.005}
    for what, value in dict(parts.loc[parts["stated"], ["words", "value"]].to_numpy()).items():
        notes.append(f"'{what:.40}' has no value in the file: counted as the ${value:,.2f} it names.")
    try:
        return Contest(payouts=rows, **facts, notes=tuple(notes))
    except UserError as error:
        raise InputError(f"{where}: {error}") from None


def _parts(tier: dict, where) -> pd.DataFrame:
    """Return what a prize consists of: words, value, `ticket`, and `stated` where the words alone tell the value."""
    listed = tier.get("payoutDescriptions")
    parts = from_objects(listed if isinstance(listed, list) else [], "payout_parts", where, "part")
    words = parts["words"].fillna("")
    kinds = tier.get("tierPayoutDescriptions")
    kinds = {str(text): kind for kind, text in kinds.items()} if isinstance(kinds, dict) else {}
    only = next(iter(kinds.values())) if len(kinds) == 1 else None
    kind = words.map(lambda text: kinds.get(text, only) or ("ticket" if "ticket" in text.lower() else "cash"))
    stated = ~(parts["value"] > 0)
    parts = parts.assign(words=words, ticket=kind.str.lower() != "cash", stated=stated)
    parts["value"] = parts["value"].where(~stated, words.map(_stated))
    for row in parts[~(parts["value"] > 0)].itertuples():
        what = f"the {'ticket' if row.ticket else 'prize'} '{row.words:.40}' has no value"
        raise InputError(f"{where}: {what}; write its worth in dollars as its value")
    return parts


def _stated(words: str) -> float:
    """Return the dollars that the words of one prize name, 0 where they name none, or none that is sure."""
    found = set(re.findall(r"\$\s*(\d[\d.,]*)(?![\d.,]|\s?(?:k|m|mm|mil|million|thousand)\b)", words, re.IGNORECASE))
    several = re.search(
        r"(?<![\d.,$])(?!1\D)\d+\s?([x×]|\$|tickets|entries)|\b[x×]\s?[2-9]|\$\s?\d{1,3}\.\d{3}\b", words, re.IGNORECASE
    )
    return number_of(found.pop().rstrip(".,")) if len(found) == 1 and not several else 0.0
