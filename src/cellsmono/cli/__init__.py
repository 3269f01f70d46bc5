"""Commands: thin typer functions, each importing what it needs when it runs."""
