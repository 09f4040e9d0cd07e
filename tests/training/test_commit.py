"""The commit of a folder is the one that git tells."""

import shutil
import subprocess

import pytest

from cnncli.training.runs.commit import commit


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    (tmp_path / "below/deeper").mkdir(parents=True)
    return tmp_path


def test_it_is_gits_own_wherever_the_folder_is(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert len(head) == 40
    assert commit(repository) == commit(repository / "below/deeper") == head


def test_packed_references_a_detached_head_and_worktrees_are_read(repository):
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "pack-refs", "--all")
    assert commit(repository) == first
    git(repository, "worktree", "add", "-q", "-b", "side", "tree")
    git(repository / "tree", "commit", "-q", "--allow-empty", "-m", "two")
    second = git(repository / "tree", "rev-parse", "HEAD")
    assert commit(repository / "tree") == second != first
    git(repository, "pack-refs", "--all")
    assert commit(repository / "tree") == second
    git(repository, "checkout", "-q", "--detach", second)
    assert commit(repository) == second


@pytest.mark.parametrize(
    "head",
    ["", "x" * 40, "\0", "ref: refs/heads/none", "ref: refs/heads/loop", "ref: ../../secret", "ref: refs/../../secret"],
)
def test_a_repository_that_says_nothing_sensible_has_no_commit(tmp_path, head):
    (tmp_path / "secret").write_text("0" * 40)
    (tmp_path / ".git/refs/heads").mkdir(parents=True)
    (tmp_path / ".git/refs/heads/loop").write_text("ref: refs/heads/loop\n")
    (tmp_path / ".git/HEAD").write_text(head)
    assert commit(tmp_path) is None


def test_outside_a_repository_there_is_none(tmp_path):
    (tmp_path / ".git").write_bytes(b"\xff")
    assert commit(tmp_path) is None
