"""Sign-in for browsers and clients: OpenID Connect below ``/oidc``."""
