"""The text of ``cellsmono --help``, static so that it is there at once; a test holds it to the real commands."""

HELP = """\
Usage: cellsmono [OPTIONS] COMMAND [ARGS]...

  Serve your folders over S3, indexed, and kept in step with the disk.

Examples:
  cellsmono serve ~/Documents            serve a folder as the bucket "documents"
  cellsmono serve photos=/srv/pictures   serve it under another name
  cellsmono ps                           what runs, and how it is
  cellsmono ds resync photos             compare a bucket with its folder now

Commands:
  serve       Serve folders until Ctrl-C.
  ps          List the services of the running server.
  ds          Datasources: the folders that are served.
  key         Access keys: who may sign requests.
  user        Users: people who share this installation.
  group       Groups: the tree in which users are.
  role        Roles: what rights are given to, and users have.
  acl         Rights: who may do what with which files.
  policy      Policies: who may do what under which conditions.
  workspace   Workspaces: what users see of the files.
  lock        Locks: what users keep others from changing.
  file        Files: look, copy, move and delete as a user.
  jobs        Jobs: what is copied, moved and deleted for users.
  config      Show, check and begin the configuration.
  versions    Versions: list, restore and prune what files held before.
  encryption  Keys of encrypted content: list, renew, save and restore.
  doctor      Look for what would get in the way, with remedies.

Options:
  --debug               Show tracebacks of errors.
  --version             Show the version and exit.
  --install-completion  Install completion for the current shell.
  --show-completion     Show completion for the current shell, to copy it or
                        customize the installation.
  --help                Show this message and exit.

Run `cellsmono COMMAND --help` for the options of a command.
"""
