"""Whether object lock is on, as the database of an index has it."""

import msgspec

from cellsmono.interfaces.locks import LockRule
from cellsmono.kernel.errors import Corrupt
from cellsmono.store.database import Reader, Tx

SELECT_RULE = "SELECT object_lock FROM index_state"
UPDATE_RULE = "UPDATE index_state SET object_lock = ?"


def read_object_lock(reader: Reader) -> LockRule | None:
    """The rule for new versions, None while object lock is off. Raises Corrupt: a lock is never taken for none."""
    text = reader.execute(SELECT_RULE).fetchone()[0]
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=LockRule)
    except msgspec.DecodeError as error:
        raise Corrupt(f"Its rule for object locks can not be read: {error}.", reason="index") from None


def write_object_lock(tx: Tx, rule: LockRule) -> None:
    """Object lock is on, with this rule. It is never off again."""
    tx.execute(UPDATE_RULE, (msgspec.json.encode(rule).decode(),))
