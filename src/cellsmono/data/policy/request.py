"""What is known about a request when a policy is asked."""

from collections.abc import Mapping

import msgspec

from cellsmono.data.policy.keys import EXISTING_TAG, REQUEST_TAG, REQUEST_TAG_KEYS, Key

_NONE: Mapping[str, str] = {}


class Known(msgspec.Struct, frozen=True):
    """What conditions may ask for. ``values`` are those of plain keys, by their name in lower case.

    ``asked_tags`` are the tags that the request wants to set. ``existing_tags`` are those that the object has: none
    for one that is not there, and None while nobody looked.
    """

    values: Mapping[str, str] = _NONE
    asked_tags: Mapping[str, str] = _NONE
    existing_tags: Mapping[str, str] | None = None

    def find(self, key: Key, action: str) -> tuple[str, ...]:
        """What the request has for a key, empty if nothing.

        Raises LookupError for tags of an object at which nobody looked: nothing may be decided without them.
        """
        if not key.applies(action):
            return ()
        if key.name == REQUEST_TAG_KEYS:
            return tuple(self.asked_tags)
        if key.name == REQUEST_TAG:
            return _find_tag(self.asked_tags, key.tag)
        if key.name == EXISTING_TAG:
            if self.existing_tags is None:
                raise LookupError("the tags of the object were not looked at")
            return _find_tag(self.existing_tags, key.tag)
        value = self.values.get(key.name)
        return () if value is None else (value,)


def _find_tag(tags: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The value of the tag that is written so, else those of tags that differ in case, which does not matter here."""
    exact = tags.get(name)
    if exact is not None:
        return (exact,)
    folded = name.lower()
    return tuple(value for tag, value in tags.items() if tag.lower() == folded)
