"""API tokens; only hashes are kept."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from worker.ledger.rows import record
from worker.ledger.tables import TOKENS
from worker.records import TokenRow


def insert_token(tx: Connection, token: TokenRow, sha256: str) -> None:
    tx.execute(insert(TOKENS).values(**asdict(token), sha256=sha256))


def token_by_hash(connection: Connection, sha256: str) -> TokenRow | None:
    """The row, expired and revoked ones too: the caller says which it was."""
    row = connection.execute(select(TOKENS).where(TOKENS.c.sha256 == sha256)).first()
    return record(TokenRow, row) if row else None


def tokens(connection: Connection) -> list[TokenRow]:
    return [record(TokenRow, row) for row in connection.execute(select(TOKENS).order_by(TOKENS.c.created_at))]


def revoke_token(tx: Connection, token_id: str, at: datetime) -> bool:
    statement = update(TOKENS).where(TOKENS.c.id == token_id, TOKENS.c.revoked_at.is_(None))
    return tx.execute(statement.values(revoked_at=at)).rowcount == 1
