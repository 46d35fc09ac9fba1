"""The original files of a public data set, as its YAML declares them."""

from collections.abc import Mapping
from dataclasses import dataclass

from duogen.data.checksum import verify
from duogen.data.folder import data_folder
from duogen.errors import UserError


@dataclass(frozen=True)
class DeclaredFiles:
    """Files in `folder` below the data folder; `files` holds the public `url` and the `sha256` of each by name."""

    folder: str
    files: Mapping[str, Mapping[str, str]]

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UserError: it is not there, or its sha256 is not the declared one.
        """
        path = data_folder() / self.folder / name
        if not path.is_file():
            raise UserError(f"the file {name} is not in {path.parent}", f"all of {', '.join(self.files)}", self.remedy)
        content = path.read_bytes()
        verify(str(path), content, self.files[name]["sha256"], f"delete {path}; {self.remedy}")
        return content

    @property
    def remedy(self) -> str:
        """How the files come to be there."""
        fetch = f"duogen data fetch {self.folder.replace('-', '_')}"
        return f"run `{fetch}`, or put the files there, or set DUOGEN_DATA to the folder that holds {self.folder}/"
