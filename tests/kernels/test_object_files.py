"""An object file in the cache folder is used only if it is whole, and nothing there keeps code from being made."""

from cnncli.kernels.jit import cache, object_files

MODULE = "cnncli.kernels.gemm.microkernel"


def test_a_file_is_kept_and_made_anew_where_it_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "ENABLED", True)
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    made = []

    def build():
        made.append("a.o")
        return b"an object file"

    assert [object_files.kept(MODULE, "a.o", build) for _ in range(2)] == [b"an object file"] * 2
    assert made == ["a.o"]
    file = tmp_path / cache.rooms()["gemm"] / "a.o"
    whole = file.read_bytes()
    for damaged in (
        b"",
        whole[:20],
        whole[:-1],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        bytes([whole[0] ^ 1]) + whole[1:],
    ):
        file.write_bytes(damaged)
        made.clear()
        assert object_files.kept(MODULE, "a.o", build) == b"an object file"
        assert made == ["a.o"]
        assert file.read_bytes() == whole


def test_without_a_folder_a_file_is_made_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "ENABLED", False)
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    assert object_files.kept(MODULE, "a.o", lambda: b"code") == b"code"
    monkeypatch.setattr(cache, "ENABLED", True)
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "file")
    assert object_files.kept(MODULE, "a.o", lambda: b"code") == b"code"
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
