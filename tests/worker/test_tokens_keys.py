import multiprocessing
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from worker.tokens import Keys, KeysError
from worker.tokens.instance_keys import new_key_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys"


def test_the_first_start_makes_one_private_key(folder: Path) -> None:
    keys = Keys(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (path,) = folder.glob("*.key")
    assert (path.stem, stat.S_IMODE(path.stat().st_mode)) == (keys.current_id, 0o600)
    assert Keys(folder).current_id == keys.current_id


def _first_start(folder: Path, ready: Barrier, found: "multiprocessing.Queue[str]") -> None:
    ready.wait()
    found.put(Keys(folder).encrypt(b"made at once"))


def test_processes_that_start_at_once_agree_on_one_key(folder: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, found = spawn.Barrier(6), spawn.Queue()
    processes = [spawn.Process(target=_first_start, args=(folder, ready, found)) for _ in range(6)]
    for process in processes:
        process.start()
    made = [found.get() for _ in processes]
    for process in processes:
        process.join()
    found.close()
    assert len({text.partition(":")[0] for text in made}) == 1
    assert {Keys(folder).decrypt(text) for text in made} == {b"made at once"}
    assert len(list(folder.glob("*.key"))) == 1


def test_every_use_names_its_key_and_reads_back(folder: Path) -> None:
    keys = Keys(folder)
    text = keys.encrypt(b"callback")
    key_id, mac = keys.mac("audit", b"row")
    assert text.startswith(f"{keys.current_id}:")
    assert keys.decrypt(text) == b"callback"
    assert key_id == keys.current_id
    assert keys.verify_mac("audit", b"row", key_id, mac)


def test_a_mac_is_good_for_its_purpose_and_content_only(folder: Path) -> None:
    keys = Keys(folder)
    key_id, mac = keys.mac("audit", b"row")
    assert not keys.verify_mac("session", b"row", key_id, mac)
    assert not keys.verify_mac("audit", b"other", key_id, mac)
    assert not keys.verify_mac("audit", b"row", key_id, "ü")


def test_after_a_rotation_new_things_have_the_new_key_and_old_ones_still_read(folder: Path) -> None:
    keys, elsewhere = Keys(folder), Keys(folder)
    old_text, (old_id, old_mac) = keys.encrypt(b"old"), keys.mac("audit", b"row")
    assert elsewhere.current_id == old_id
    new_id = keys.rotate()
    assert new_id != old_id
    for seen in (keys, elsewhere, Keys(folder)):
        assert seen.current_id == new_id
        assert seen.ids() == [new_id, old_id]
        assert seen.decrypt(old_text) == b"old"
        assert seen.verify_mac("audit", b"row", old_id, old_mac)
        assert seen.encrypt(b"new").startswith(f"{new_id}:")


def test_altered_and_foreign_ciphertexts_are_refused(folder: Path, tmp_path: Path) -> None:
    keys = Keys(folder)
    text = keys.encrypt(b"x")
    with pytest.raises(KeysError, match="altered since"):
        keys.decrypt(f"{text[:-4]}AAA=")
    with pytest.raises(KeysError, match="is not among the instance keys"):
        keys.decrypt(Keys(tmp_path / "other").encrypt(b"x"))
    with pytest.raises(KeysError, match="is not among the instance keys"):
        keys.decrypt("no text of ours")


def test_one_file_holds_the_current_key_first_and_old_ones_after_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    old, new = new_key_text(), new_key_text()
    file.write_text(f"{old}\n", encoding="ascii")
    before = Keys(tmp_path / "unused", file)
    text = before.encrypt(b"x")
    replacement = tmp_path / "next"
    replacement.write_text(f"# since Monday\n{new}\n{old}\n", encoding="ascii")
    replacement.replace(file)
    after = Keys(tmp_path / "unused", file)
    assert after.current_id == before.current_id != text.partition(":")[0]
    assert after.decrypt(text) == b"x"
    assert not (tmp_path / "unused").exists()


def test_a_key_file_is_not_rotated_by_us(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(new_key_text(), encoding="ascii")
    with pytest.raises(KeysError, match="put a new key before the first line"):
        Keys(tmp_path, file).rotate()


def test_a_key_file_that_is_missing_empty_or_broken_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    with pytest.raises(KeysError, match="cannot be read: No such file"):
        _ = Keys(tmp_path, file).current_id
    file.write_text("", encoding="ascii")
    with pytest.raises(KeysError, match="holds no key"):
        _ = Keys(tmp_path, file).current_id
    file.write_text("canary-short", encoding="ascii")
    with pytest.raises(KeysError, match="key 1 is no key") as caught:
        _ = Keys(tmp_path, file).current_id
    assert "canary" not in str(caught.value)


def test_a_lost_pointer_or_a_swapped_key_stops_the_start(folder: Path) -> None:
    keys = Keys(folder)
    (path,) = folder.glob("*.key")
    path.write_text(new_key_text(), encoding="ascii")
    with pytest.raises(KeysError, match="does not hold the key that its name says"):
        _ = Keys(folder).current_id
    (folder / "current").unlink()
    with pytest.raises(KeysError, match="restore it from a backup"):
        Keys(folder)
    with pytest.raises(KeysError, match="restore it from the backup"):
        _ = keys.current_id
