"""What stands in the way of a migration, counted in full and listed in part."""

from cellsmono.interfaces.migration import MigrationProblem, Obstacle

LISTED = 1000


class Problems:
    """A list that does not grow without end."""

    def __init__(self) -> None:
        self.total = 0
        self.listed: list[MigrationProblem] = []

    def add(self, obstacle: Obstacle, path: str, detail: str = "") -> None:
        """Note one."""
        self.total += 1
        if len(self.listed) < LISTED:
            self.listed.append(MigrationProblem(obstacle, path, detail))
