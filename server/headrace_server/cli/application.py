"""The `headrace` command and its verbs."""

from typing import Annotated

import typer

from headrace.version import __version__
from headrace_server.cli import (
    database,
    datasets,
    dead_letters,
    delete,
    delivery,
    doctor,
    jobs,
    kafka,
    keys,
    models,
    orphans,
    projects,
    publish,
    serve,
    worker,
)

application = typer.Typer(
    name="headrace",
    help="Stream ML inference events and their labels into TimescaleDB.",
    no_args_is_help=True,
    # Local variables hold passwords and rows.
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headrace {__version__}")
        raise typer.Exit


@application.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


application.command("serve")(serve.serve)
application.command("worker", hidden=True)(worker.worker)
application.add_typer(database.verbs, name="db")
application.add_typer(models.verbs, name="models")
application.add_typer(projects.verbs, name="projects")
application.add_typer(keys.verbs, name="keys")
application.add_typer(dead_letters.verbs, name="dead-letters")
application.command("delivery")(delivery.delivery)
application.command("publish")(publish.publish)
application.command("kafka")(kafka.kafka)
application.add_typer(datasets.verbs, name="datasets")
application.command("delete")(delete.delete)
application.add_typer(jobs.verbs, name="jobs")
application.command("orphans")(orphans.orphans)
application.command("doctor")(doctor.doctor)
