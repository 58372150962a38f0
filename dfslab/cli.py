"""The commands; no logic lives here."""

import ast
import logging
import os
import shutil
import sys
from pathlib import Path

import click

from dfslab import __version__
from dfslab.errors import UserError, in_words
from dfslab.parallel import child_environment, ended_by_signals, import_path


def _sample() -> str:
    from dfslab.workflow import SAMPLE

    return str(SAMPLE)


def _named(context, option, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("it is empty; name one (was a variable not set?)")
    return os.path.expanduser(text)


DATA = click.option(
    *("--data", "data_dir"),
    default=_sample,
    show_default="the bundled sample season",
    callback=_named,
    help="Your data folder.",
)
OWN_DATA = click.option(
    *("--data", "data_dir"), required=True, callback=_named, help="Your data folder; its history is extended."
)
OUT = click.option("--out", "out_dir", default="reports", show_default=True, callback=_named, help="Where reports go.")
SEED = click.option("--seed", default=1, show_default=True, help="Same seed, same output.")
SERIES = click.option(
    "--series", default="cup", show_default=True, type=click.Choice(["cup", "xfinity", "trucks"]), help="Which series."
)
QUIET = click.option("--quiet", is_flag=True, help="Print nothing but results and errors.")
RACES = click.option("--races", help="Race ids, separated by commas; default: all.")
WORKERS = click.option("--workers", type=click.IntRange(1), help="Processes on this machine; default: one per core.")
PARAMETERS = click.option(
    *("-p", "--parameter", "pairs"), multiple=True, metavar="NAME=VALUE", help="A parameter or a rule; repeat."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli():
    """An open research lab for NASCAR daily fantasy.

    \b
    The sample race, end to end:      dfslab report
    Your own race:                    dfslab report 2026-11-08-phoenix --data my-data
    After the race, learn from it:    dfslab ingest 2026-11-08-phoenix --data my-data
    Every race of a season:           dfslab season --data my-data
    NASCAR's public results:          dfslab fetch --season 2026 --data my-data
    The notebooks, live:              dfslab lab
    """


def _progress(quiet: bool):
    return (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))


def _literal(text: str):
    """Read a parameter's value as a literal; what is none stays text (so 2024_05 stays a name)."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return text if isinstance(value, int) and "_" in text else value


def _parameters(pairs, read=_literal) -> dict:
    """Return NAME=VALUE pairs by name, each value as `read` takes it."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise click.BadParameter(f"{wrong[0]} is not NAME=VALUE", param_hint="-p")
    return {name: read(value) for name, value in (pair.split("=", 1) for pair in pairs)}


def _listed(races: str | None) -> list[str] | None:
    return [race.strip() for race in races.split(",") if race.strip()] if races else None


def _show(tables: dict) -> None:
    from dfslab.report import table

    for title, frame in tables.items():
        click.echo(f"\n{table(frame, title).text}")


def _fail(failed: dict) -> None:
    """End with exit code 1 and a line for each that failed, if any did."""
    if failed:
        lines = [f"{name}: {reason}" for name, reason in failed.items()]
        raise UserError("\n  ".join([f"{len(failed)} failed", *lines]))


@cli.command()
@click.argument("race_id", required=False)
@DATA
@OUT
@PARAMETERS
@QUIET
def report(race_id, data_dir, out_dir, pairs, quiet):
    """Make the three pages and the lineups file of a race.

    \b
    dfslab report
    dfslab report 2023-03-05-las-vegas --data my-data --out reports
    dfslab report 2023-03-05-las-vegas --data my-data -p n_lineups=20 -p seed=7

    Without RACE_ID the latest race of the folder is taken.
    """
    from dfslab.report import run_report

    click.echo(run_report(race_id or "", data_dir, out_dir, _parameters(pairs), progress=_progress(quiet)))


@cli.command()
@DATA
@OUT
@RACES
@PARAMETERS
@WORKERS
@QUIET
def season(data_dir, out_dir, races, pairs, workers, quiet):
    """Make the report of every race, side by side, and the index over them.

    \b
    dfslab season --data my-data
    dfslab season --data my-data --races 2023-03-05-las-vegas,2023-03-12-phoenix -p n_lineups=20
    DASK_SCHEDULER_ADDRESS=tcp://head:8786 dfslab season --data /shared/my-data --out /shared/reports

    On a Dask cluster the workers must see both folders under the same path. A race that fails is listed at the end;
    the others are finished all the same, and the exit code is 1.
    """
    from dfslab.report import seasons

    options = {"workers": workers, "progress": _progress(quiet)}
    done = seasons.report_season(data_dir, out_dir, _listed(races), _parameters(pairs), **options)
    for folder in done.finished.values():
        click.echo(folder)
    _fail(done.failed)


@cli.command()
@click.option("--season", "year", required=True, type=click.IntRange(1949, 2100), help="The year.")
@SERIES
@OWN_DATA
@click.option("--base-url", help="Another server with the same files, a mirror of your own for example.")
@QUIET
def fetch(year, series, data_dir, base_url, quiet):
    """Fetch the results of a season from NASCAR's public feed into the history.

    \b
    dfslab fetch --season 2025 --data my-data
    dfslab fetch --season 2025 --series xfinity --data my-data

    What was fetched is kept in the folder's cache, so an interrupted fetch goes on where it stopped.
    """
    from dfslab.data import fetch_season

    done = fetch_season(year, series, data_dir, base_url, tell=_progress(quiet))
    for note in (*done.skipped, *done.notes):
        _progress(quiet)(note)
    click.echo(f"{len(done.races)} races of {year} are in {Path(data_dir) / 'history'}")
    _fail(dict(enumerate(done.failed, 1)))


@cli.command()
@click.argument("race_id", required=False)
@OWN_DATA
@QUIET
def ingest(race_id, data_dir, quiet):
    """Add contest standings to the ownership history; ingesting again changes nothing.

    \b
    dfslab ingest 2023-03-05-las-vegas --data my-data
    dfslab ingest --data my-data

    Put contest-standings-*.zip as downloaded into the race's folder first. Without RACE_ID every race with standings
    is taken. Names and ids of players are not kept.
    """
    from dfslab.report import seasons

    done = seasons.ingest_season(data_dir, [race_id] if race_id else None, progress=_progress(quiet))
    for race, text in done.finished.items():
        click.echo(f"{race}: {text}")
    _fail(done.failed)


PAGES = {"ownership": "01_ownership_calibration", "race": "06_race_report_card", "regimes": "02_regime_tuning"}
"""The notebook that tunes each model."""


@cli.command()
@click.argument("model", type=click.Choice(list(PAGES)))
@DATA
@OUT
@SERIES
@click.option("--since", default="", help="First day to score, such as 2024-01-01.")
@click.option("--until", default="", help="As of this day; default: all of the history.")
@click.option("--learn", type=click.IntRange(0), help="ownership: first contests not scored.")
@click.option("--last", type=click.IntRange(0), help="ownership: score only so many of the latest contests.")
@click.option("--figures", type=click.Path(exists=True, dir_okay=False), help="ownership: other cold-start figures.")
@SEED
@click.option(
    "-p", "--parameter", "--grid", "pairs", multiple=True, metavar="NAME=VALUE", help="A notebook parameter; repeat."
)
@click.option("--no-save", is_flag=True, help="Look only; later reports keep what is in use.")
@QUIET
def tune(model, out_dir, figures, pairs, no_save, quiet, **given):
    """Score a model on your own history; its page goes to reports/tuning, what was chosen to the models folder.

    \b
    dfslab tune ownership --data my-data --learn 4 --last 8
    dfslab tune race --data my-data --since 2024-01-01
    dfslab tune regimes --data my-data --grid leader_share=[.4,.5,.6] --no-save -p n_permutations=20

    Every forecast that is scored was made from earlier races or contests only. For ownership a folder with nothing but
    history/ownership.csv will do, and with --figures nothing is saved; for the race nothing is chosen.
    """
    from dfslab.data import files
    from dfslab.report import sweeps

    given = {name: value for name, value in given.items() if value is not None}
    given |= {"figures": str(Path(figures).resolve())} if figures else {}
    given |= {"tune": True, "save": not (no_save or figures)} if model != "race" else {}
    if given.get("save") and Path(given["data_dir"]).resolve() == Path(_sample()).resolve():
        raise UserError(f"{given['data_dir']}: the bundled sample is not changed; name your own folder with --data")
    folder, notebook = Path(out_dir) / "tuning" / model, files.shipped("notebooks") / f"{PAGES[model]}.ipynb"
    _progress(quiet)(f"{notebook.stem}: running; past races are simulated once and kept")
    click.echo(sweeps.run_notebook(notebook, folder, given | _parameters(pairs)))
    click.echo(f"page: {folder / notebook.stem}.html")


@cli.command()
@click.argument("salaries", type=click.Path(exists=True, dir_okay=False))
@click.argument("projections", type=click.Path(exists=True, dir_okay=False))
@click.option("-n", "--lineups", default=20, show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--leverage", "leverage_penalty", default=0.0, type=click.FloatRange(0), help="Points per own²; default 0."
)
@click.option(
    "--max-ownership", "max_ownership_per_driver", type=click.FloatRange(0, 1), help="0.25: nobody above 25 %."
)
@click.option("--max-exposure", type=click.FloatRange(0, 1, min_open=True), help="Share of lineups, at most.")
@click.option("--max-overlap", type=click.IntRange(0, 5), help="Drivers two lineups may share.")
@click.option("--lock", "locks", multiple=True, help="A driver in every lineup; repeat.")
@click.option("--ban", "bans", multiple=True, help="A driver in none; repeat.")
@click.option("--out", default="lineups.csv", show_default=True, callback=_named, help="DraftKings' bulk upload.")
@PARAMETERS
@QUIET
def optimize(salaries, projections, lineups, quiet, out, pairs, **options):
    """Write the best lineups of a salary file and a projections file, without any history.

    \b
    dfslab optimize DKSalaries.csv projections.csv
    dfslab optimize DKSalaries.csv projections.csv -n 150 --leverage 50 --max-exposure 0.4 --out lineups.csv
    dfslab optimize DKSalaries.csv projections.csv --lock "Kyle Larson" --ban "Denny Hamlin"
    dfslab optimize DKSalaries.csv projections.csv -p max_total_ownership=1.4 -p min_low_ownership_drivers=2

    projections.csv has the columns driver, projected_points and, if you have it, projected_ownership. Further rules go
    by the names of notebook 03: groups, min_exposure, min_salary, excluded, low_ownership_threshold, …
    """
    from dfslab.workflow import optimize_files

    given = {"salaries": salaries, "projections": projections, "n_lineups": lineups, "out": out}
    found = optimize_files(**given | options | _parameters(pairs))
    for note in found.notes:
        _progress(quiet)(note)
    shown = found.table().head(10)[["lineup", "points", "salary", "total_ownership", "drivers"]]
    _show({f"The first of {len(found)} lineups in {out}": shown})


@cli.command()
@DATA
@OUT
@RACES
@WORKERS
@SEED
@QUIET
def backtest(data_dir, out_dir, races, workers, seed, quiet):
    """Go through past races in order: decide, then reveal; tables on how it went.

    \b
    dfslab backtest --data my-data
    dfslab backtest --data my-data --races 2023-03-05-las-vegas,2023-03-12-phoenix
    DASK_SCHEDULER_ADDRESS=tcp://head:8786 dfslab backtest --data /shared/my-data --out /shared/reports
    """
    from dfslab.sample import replay
    from dfslab.workflow import run_backtest, summarise

    options = {"races": _listed(races), "workers": workers, "seed": seed, "progress": _progress(quiet)}
    frames = run_backtest(data_dir, Path(out_dir) / "backtest", replay=replay, **options)
    for row in frames["failed"].itertuples():
        _progress(quiet)(f"{row.race_id}: {row.error}")
    _show(summarise(frames))


@cli.command()
@click.argument("out", callback=_named)
@click.option("--races", "n_races", default=28, show_default=True, type=click.IntRange(2, 36), help="How many races.")
@click.option("--seed", type=int, help="Of the whole season; default: that of the bundled one.")
@QUIET
def sample(out, n_races, seed, quiet):
    """Write a simulated season as a data folder: drivers, races and contests in it are invented.

    \b
    dfslab sample my-season
    dfslab sample my-season --races 10 --seed 3
    """
    from dfslab import sample as season

    click.echo(season.write_sample(out, season.SEED if seed is None else seed, n_races, on_race=_progress(quiet)))


@cli.command()
@click.argument("notebook")
@click.option("-p", "pairs", multiple=True, required=True, metavar="NAME=A,B", help="Values to try; lists joined by ;.")
@click.option("--race", "race_id", default="", help="Which race; default: the latest of the folder.")
@DATA
@OUT
@click.option("--metric", default="", help="What the heat map shows, such as portfolio.expected_payout.")
@WORKERS
@QUIET
def sweep(notebook, pairs, race_id, data_dir, out_dir, metric, workers, quiet):
    """Run a notebook at every point of a grid of its parameters, side by side; one row a run, one page over all.

    \b
    dfslab sweep notebooks/03_portfolio_construction.ipynb -p leverage_penalty=0,30,60 -p max_exposure=.4,.6
    dfslab sweep 02_regime_tuning.ipynb --race 2023-03-05-las-vegas -p "use={'leader_share': .4};{'leader_share': .6}"

    Rows are appended to reports/sweeps/<notebook>/runs.csv.
    """
    from dfslab.data import files
    from dfslab.report import sweeps

    path = Path(notebook) if Path(notebook).exists() else files.shipped("notebooks") / Path(notebook).name
    shared = {"data_dir": data_dir} | ({"race_id": race_id} if race_id else {})
    grid = _parameters(pairs, _values)
    done = sweeps.sweep(path, grid, out_dir, shared, metric=metric, workers=workers, progress=_progress(quiet))
    click.echo(done.page)
    _fail(done.failed)


def _values(text: str) -> list:
    """Read values to try: joined by commas, or by semicolons where a value holds commas itself."""
    joined = ";" in text or text[:1] in tuple("[({")
    return [_literal(part.strip()) for part in text.split(";" if joined else ",")]


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
@click.option("--originals", is_flag=True, help="Edit the notebooks of the package, which reports are made of.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(originals, arguments):
    """Open JupyterLab with a copy of the notebooks; further arguments go to JupyterLab as they are.

    \b
    dfslab lab
    dfslab lab --no-browser --ip 0.0.0.0 --port 8900

    The copy is in ./dfslab-notebooks; a notebook that is there stays as it is. 00_explore answers sliders at once; 01
    to 03 are the pages of the report, 04 the backtest of a season, 05 asks questions, 06 checks the race model.
    Jupyter refuses to run as root unless told; this command tells it, so that it works in a container.
    """
    from dfslab.data import files

    source = files.shipped("notebooks")
    folder = source if originals else _copied(source, Path("dfslab-notebooks"))
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [sys.executable, "-P", "-m", "jupyterlab", str(folder), *as_root, *arguments]
    os.execve(sys.executable, command, child_environment())


def _copied(source: Path, folder: Path) -> Path:
    """Copy the notebooks into `folder`, never over a file that is there."""
    folder.mkdir(exist_ok=True)
    for notebook in sorted(source.glob("*.ipynb")):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
    return folder


def _split_debug(arguments) -> tuple[list[str], bool]:
    """Return the arguments without --debug, which may stand anywhere (but is JupyterLab's own after `lab`)."""
    end = arguments.index("lab") if "lab" in arguments else len(arguments)
    mine, rest = arguments[:end], arguments[end:]
    return [a for a in mine if a != "--debug"] + rest, "--debug" in mine


def main(arguments=None) -> int:
    """Run a command; a mistake ends with one sentence and exit code 1 (2 for a misused command, 130 when stopped)."""
    arguments, debug = _split_debug(list(sys.argv[1:] if arguments is None else arguments))
    sys.path[:] = import_path()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with ended_by_signals():
            cli.main(arguments, prog_name="dfslab", standalone_mode=False)
        return 0
    except click.ClickException as error:
        error.show()
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        logging.getLogger("asyncio").disabled = True  # of the kernel that was ended with us, nobody asks any more
        click.echo("dfslab: stopped; what was finished stays", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        ours = isinstance(error, UserError | OSError | MemoryError)
        click.echo(f"dfslab: {in_words(error)}{'' if ours else ' (unexpected; --debug shows where)'}", err=True)
        return 1
