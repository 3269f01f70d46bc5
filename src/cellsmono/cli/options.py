"""Options that several commands have."""

from typing import Annotated

import typer

from cellsmono.cli.output import Output
from cellsmono.interfaces.datasource import Signature

DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="The data folder: databases, keys, control socket.", show_default=False
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="The configuration file (TOML).", show_default=False),
]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How data is printed.")]
Endpoint = Annotated[str, typer.Option(metavar="URL", help="The S3 server. Default: AWS.", show_default=False)]
Region = Annotated[str, typer.Option(help="The region of the bucket on it.")]
RemoteKey = Annotated[str, typer.Option("--access-key", metavar="KEY", help="Access key for it.", show_default=False)]
SecretFile = Annotated[
    str,
    typer.Option(
        "--secret-key-file",
        metavar="FILE",
        help="File with the secret. Without one it is asked for.",
        show_default=False,
    ),
]
PathStyle = Annotated[bool, typer.Option("--path-style/--host-style", help="How its buckets are addressed.")]
RemoteSignature = Annotated[Signature, typer.Option("--signature", help="How requests to it are signed.")]
VerifyTls = Annotated[bool, typer.Option(help="Check its certificate.")]
AuthorityFile = Annotated[
    str, typer.Option("--ca-file", metavar="FILE", help="Authorities to trust for it.", show_default=False)
]
RequestSeconds = Annotated[
    float,
    typer.Option(
        "--request-seconds", metavar="SECONDS", help="How long one operation on it may take, repetitions and all."
    ),
]
SignPayload = Annotated[bool, typer.Option("--sign-payload", help="Sign bodies also over TLS.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
