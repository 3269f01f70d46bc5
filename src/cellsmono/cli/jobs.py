"""``cellsmono jobs``: what the server copies, moves and deletes for users."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, format_time, print_fields, print_json, print_table, tell
from cellsmono.interfaces.jobs import DeleteJob, Job, ListJobs, PauseJob, ResumeJob, StopJob
from cellsmono.kernel.errors import NotFound

LIST_EPILOG = """Examples:

  cellsmono jobs list --user alice"""
SHOW_EPILOG = """Examples:

  cellsmono jobs show 019a4e6e-0c3b-7bd2-8a07-5b7e9f7c1d11"""
STOP_EPILOG = """Examples:

  cellsmono jobs stop 019a4e6e-0c3b-7bd2-8a07-5b7e9f7c1d11"""
PAUSE_EPILOG = """Examples:

  cellsmono jobs pause 019a4e6e-0c3b-7bd2-8a07-5b7e9f7c1d11"""
RESUME_EPILOG = """Examples:

  cellsmono jobs resume 019a4e6e-0c3b-7bd2-8a07-5b7e9f7c1d11"""
DELETE_EPILOG = """Examples:

  cellsmono jobs delete 019a4e6e-0c3b-7bd2-8a07-5b7e9f7c1d11"""

app = typer.Typer(
    help="Jobs: what is copied, moved and deleted for users.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The job.")]


@app.command("list", epilog=LIST_EPILOG)
def list_jobs(
    user: Annotated[str, typer.Option("--user", metavar="LOGIN", help="Those of one user.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="How many at most.")] = 100,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List jobs, the newest first."""
    jobs = ask(data_dir, config, ListJobs(user, limit=limit))
    if output is Output.JSON:
        print_json(jobs)
        return
    print_table(
        ("ID", "USER", "STATE", "DONE", "CREATED", "WHAT"),
        [
            (job.id, job.login, job.state.value, f"{job.progress:.0%}", format_time(job.created), job.label)
            for job in jobs
        ],
    )


@app.command("show", epilog=SHOW_EPILOG)
def show_job(job: Id, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """Show one job, and what it could not do."""
    found = ask(data_dir, config, ListJobs(ids=(job,)))
    if not found:
        raise NotFound(f"There is no job {job!r}; `cellsmono jobs list` shows all", reason="job")
    print_job(found[0], output)


@app.command("stop", epilog=STOP_EPILOG)
def stop_job(job: Id, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """End a job where it is; what is done stays done."""
    print_job(ask(data_dir, config, StopJob(job)), output)


@app.command("pause", epilog=PAUSE_EPILOG)
def pause_job(
    job: Id, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Let a job rest."""
    print_job(ask(data_dir, config, PauseJob(job)), output)


@app.command("resume", epilog=RESUME_EPILOG)
def resume_job(
    job: Id, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Go on with a job that rests, was stopped or failed."""
    print_job(ask(data_dir, config, ResumeJob(job)), output)


@app.command("delete", epilog=DELETE_EPILOG)
def delete_job(job: Id, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Forget a job that is over."""
    ask(data_dir, config, DeleteJob(job))
    tell("deleted")


def print_job(job: Job, output: Output) -> None:
    """One job with all that is known of it."""
    if output is Output.JSON:
        print_json(job)
        return
    print_fields(
        [
            ("id", job.id),
            ("what", job.label),
            ("user", job.login),
            ("state", job.state.value),
            ("done", f"{job.done} of {job.total}, {job.progress:.0%}" if job.total else job.done),
            ("message", job.message),
            ("created", format_time(job.created)),
            ("started", format_time(job.started)),
            ("ended", format_time(job.ended)),
            *(("problem", problem) for problem in job.problems),
        ]
    )
