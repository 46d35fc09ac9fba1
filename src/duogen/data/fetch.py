"""Download of public files: resumed where it broke off, believed only with the right checksum."""

import os
import shutil
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from duogen.data.checksum import sha256_of, whole
from duogen.errors import UserError

TIMEOUT_S = 30


@dataclass(frozen=True)
class RemoteFile:
    """A file's name on disk, its public address and the sha256 of its bytes, or None where nobody published one."""

    name: str
    url: str
    sha256: str | None


def remote_files(files: Mapping[str, Mapping[str, str | None]]) -> list[RemoteFile]:
    """The files that a data set's YAML declares under `files`: `url` and `sha256` by name."""
    return [RemoteFile(name, str(entry["url"]), entry["sha256"]) for name, entry in files.items()]


def fetch(name: str, files: Sequence[RemoteFile], folder: Path) -> list[Path]:
    """Brings the files of the data set `name` into `folder`, leaves those already right, and returns all paths.

    A file takes its name only when it is whole, checked and on the disk; until then it is `<file>.part`, from whose end
    the next call goes on.

    Raises:
        UserError: no answer, a wrong checksum, or a folder that cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            print(f"{name}: {file.name}: {_bring(file, folder / file.name, files)}", flush=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be used: {error}", "a folder with room that you may write to", "set DUOGEN_DATA"
        ) from error
    return [folder / file.name for file in files]


def _bring(file: RemoteFile, path: Path, files: Sequence[RemoteFile]) -> str:
    if whole(path, file.sha256):
        return "already there"
    part = path.with_name(path.name + ".part")
    try:
        _download(file.url, part)
    except (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _unreachable(file, path.parent, files, error) from error
    if (found := sha256_of(part)) != (file.sha256 or found):
        part.unlink()
        raise UserError(
            f"{file.url} has the sha256 {found}",
            f"the declared sha256 {file.sha256}",
            "try again, or use another mirror",
        )
    part.replace(path)
    unchecked = "" if file.sha256 else f", unchecked, sha256 {found}"
    return f"fetched {path.stat().st_size:,} bytes{unchecked}"


def _download(url: str, part: Path) -> None:
    have = part.stat().st_size if part.is_file() else 0
    try:
        response = _open(url, have)
    except HTTPError as error:
        if error.code != 416:
            raise
        part.unlink(missing_ok=True)
        have, response = 0, _open(url, 0)
    resumed = response.status == 206
    with response, part.open("ab" if resumed else "wb") as target:
        shutil.copyfileobj(response, target)
        target.flush()
        os.fsync(target.fileno())
    missing = int(response.headers.get("Content-Length") or 0) + resumed * have - part.stat().st_size
    if missing > 0:
        raise ConnectionError(f"the connection ended {missing} bytes too early")


def _open(url: str, have: int) -> HTTPResponse:
    return urlopen(Request(url, headers={"Range": f"bytes={have}-"} if have else {}), timeout=TIMEOUT_S)


def _unreachable(file: RemoteFile, folder: Path, files: Sequence[RemoteFile], error: Exception) -> UserError:
    wanted = "\n".join(f"    {each.url}" for each in files)
    return UserError(
        f"{file.url} could not be read: {error}",
        "an address that this machine can reach",
        f"run the same command again to go on where it broke off, or put these files into {folder}:\n{wanted}",
    )
