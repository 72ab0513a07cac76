from email import message_from_bytes
from pathlib import Path

from notifications.email import EmailChannel
from tests.notifications.values import MESSAGE
from worker.demo.sink import mail_sink


def test_each_mail_is_one_eml_file_in_their_order(tmp_path: Path) -> None:
    with mail_sink(tmp_path / "mails") as port:
        channel = EmailChannel(
            host="127.0.0.1", port=port, security="none", sender="n@example.org", recipients=("a@example.org",)
        )
        channel.deliver(MESSAGE)
        channel.deliver(MESSAGE)

    kept = sorted((tmp_path / "mails").iterdir())
    assert [file.name[:4] for file in kept] == ["001-", "002-"]
    assert all(file.suffix == ".eml" for file in kept)
    assert message_from_bytes(kept[0].read_bytes())["Message-ID"] == f"<{MESSAGE.id}@example.org>"
