"""What goes wrong, in the words of OAuth (RFC 6749, sections 4.1.2.1 and 5.2)."""


class OAuthError(Exception):
    """A refusal: ``code`` is for programs, the text for people who write them."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


class PageError(Exception):
    """A refusal that people are shown, because there is no address that it could be sent to safely."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
