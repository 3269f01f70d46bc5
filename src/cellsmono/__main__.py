"""The entry point of the ``cellsmono`` command."""


def main() -> None:
    """Run the command line."""
    raise SystemExit("not assembled yet")
