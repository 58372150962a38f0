"""The commands; no logic lives here."""

import sys
from pathlib import Path

import click

from dfslab import __version__

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"

DATA = click.option(
    "--data", "data_dir", default=str(SAMPLE), show_default="the bundled sample season", help="Your data folder."
)
OUT = click.option("--out", "out_dir", default="reports", show_default=True, help="Where reports go.")
SEED = click.option("--seed", default=1, show_default=True, help="Same seed, same output.")
QUIET = click.option("--quiet", is_flag=True, help="Print nothing but results and errors.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug):
    """An open research lab for NASCAR daily fantasy.

    \b
    The sample race, end to end:      dfslab report
    Your own race:                    dfslab report 2026-11-08-phoenix --data my-data
    Every race of a season:           dfslab season --data my-data
    """


def _progress(quiet: bool):
    return (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))


def _literal(text: str):
    """Read a parameter's value as a literal; what is none stays text (so 2024_05 stays a name)."""
    import ast

    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return text if isinstance(value, int) and "_" in text else value


@cli.command()
@click.argument("race_id", required=False)
@DATA
@OUT
@click.option("-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A notebook parameter; repeat.")
@QUIET
def report(race_id, data_dir, out_dir, pairs, quiet):
    """Make the three pages and the lineups file of a race.

    \b
    dfslab report
    dfslab report 2023-03-05-las-vegas --data my-data --out reports
    dfslab report 2023-03-05-las-vegas --data my-data -p n_lineups=20 -p seed=7

    Without RACE_ID the latest race of the folder is taken.
    """
    from dfslab import pipeline
    from dfslab.report import run_report

    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise click.BadParameter(f"{wrong[0]} is not NAME=VALUE", param_hint="-p")
    parameters = {name: _literal(value) for name, value in (pair.split("=", 1) for pair in pairs)}
    race_id = race_id or pipeline.latest_race(data_dir)
    click.echo(run_report(race_id, data_dir, out_dir, parameters, progress=_progress(quiet)))


def main() -> int:
    """Run a command; a user's mistake ends with one sentence and exit code 1 (2 for a misused command)."""
    debug = "--debug" in sys.argv[1:]
    try:
        cli.main(standalone_mode=False)
        return 0
    except click.exceptions.Abort:
        click.echo("dfslab: stopped", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except KeyboardInterrupt:
        click.echo("dfslab: stopped; what was finished stays", err=True)
        return 130
    except (ValueError, RuntimeError, OSError, LookupError) as error:
        if debug:
            raise
        click.echo(f"dfslab: {error}", err=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
