"""The original files of a public data set, as its YAML declares them."""

from collections.abc import Mapping
from dataclasses import dataclass

from duogen.data.checksum import gunzipped, present, verify
from duogen.data.folder import data_folder
from duogen.errors import UserError


@dataclass(frozen=True)
class DeclaredFiles:
    """Files in `folder` below the data folder; `files` holds the public `url` and the `sha256` of each by name.

    A file may also lie there packed, as `<name>.gz`; the checksum is that of the bytes unpacked. Null stands for a
    checksum that nobody has published: then any bytes are taken, and the reader looks at what they hold.
    """

    folder: str
    files: Mapping[str, Mapping[str, str | None]]

    def read(self, name: str) -> bytes:
        """The bytes of a file, unpacked where it is packed.

        Raises:
            UserError: it is not there, or its sha256 is not the declared one.
        """
        path = present(data_folder() / self.folder / name)
        if path is None:
            where = data_folder() / self.folder
            raise UserError(f"the file {name} is not in {where}", f"all of {', '.join(self.files)}", self.remedy)
        content = path.read_bytes() if path.name == name else gunzipped(path.read_bytes(), str(path))
        if (declared := self.files[name]["sha256"]) is not None:
            verify(str(path), content, declared, f"delete {path}; {self.remedy}")
        return content

    @property
    def remedy(self) -> str:
        """How the files come to be there."""
        fetch = f"duogen data fetch {self.folder.replace('-', '_')}"
        return f"run `{fetch}`, or put the files there, or set DUOGEN_DATA to the folder that holds {self.folder}/"
