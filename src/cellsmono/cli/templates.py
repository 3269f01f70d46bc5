"""``cellsmono workspace template``: a folder for each user."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, print_json, print_table, tell
from cellsmono.interfaces.people import DeleteTemplate, ListTemplates, SetTemplate

SET_EPILOG = """Placeholders: {user}, {uuid}, {profile}, {group}, {hash}; {user:1} is the first character alone.

Examples:

  cellsmono workspace template set my-files "personal/{user:1}/{user}"

  cellsmono workspace template set group-files "pydiods1/groups/{group}" """
LIST_EPILOG = """Examples:

  cellsmono workspace template list"""
DELETE_EPILOG = """Examples:

  cellsmono workspace template delete group-files --yes"""

app = typer.Typer(
    help="Templates: a folder for each user.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the template is called.")]


@app.command("set", epilog=SET_EPILOG)
def set_template(
    name: Name,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="DATASOURCE/FOLDER with placeholders.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make or change a template."""
    template = ask(data_dir, config, SetTemplate(name, pattern))
    if output is Output.JSON:
        print_json(template)
    else:
        tell(f"{template.name} is {template.pattern} from now on; files stay where they are")


@app.command("list", epilog=LIST_EPILOG)
def list_templates(data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """List templates."""
    found = ask(data_dir, config, ListTemplates())
    if output is Output.JSON:
        print_json(found)
    else:
        print_table(("NAME", "PATTERN"), [(template.name, template.pattern) for template in found])


@app.command("delete", epilog=DELETE_EPILOG)
def delete_template(name: Name, yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Remove a template that no workspace uses."""
    confirm(f"Delete the template {name}?", yes)
    ask(data_dir, config, DeleteTemplate(name))
    tell(f"deleted {name}")
