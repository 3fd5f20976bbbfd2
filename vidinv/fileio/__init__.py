"""Write files atomically, create them exclusively, compute SHA-256 digests and keep checksummed records."""

from vidinv.fileio.array_file import BadArrays, load_arrays
from vidinv.fileio.atomic_write import (
    creating_folder,
    replacing,
    sync,
    unwritable,
    write_atomically,
    writing,
)
from vidinv.fileio.digests import (
    content_sha256,
    has_sha256,
    sha256,
    sha256_digest,
    sha256_of_blocks,
    sha256_of_bytes,
    synced_sha256,
)
from vidinv.fileio.drafts import draft_path, is_draft, remove_drafts
from vidinv.fileio.json_data import LARGEST_JSON, BadJson, json_text, parse_json, read_json, record_of
from vidinv.fileio.publish import NO_FOLLOW, TAKEN, check_free, identity, publish
from vidinv.fileio.regular_file import open_regular, read_regular
from vidinv.fileio.sealed_records import append_sealed_line, read_sealed, sealed_line, sealed_lines, write_sealed
from vidinv.fileio.tensor_file import load_tensors, open_tensors, write_tensors

__all__ = [
    "LARGEST_JSON",
    "NO_FOLLOW",
    "TAKEN",
    "BadArrays",
    "BadJson",
    "append_sealed_line",
    "check_free",
    "content_sha256",
    "creating_folder",
    "draft_path",
    "has_sha256",
    "identity",
    "is_draft",
    "json_text",
    "load_arrays",
    "load_tensors",
    "open_regular",
    "open_tensors",
    "parse_json",
    "publish",
    "read_json",
    "read_regular",
    "read_sealed",
    "record_of",
    "remove_drafts",
    "replacing",
    "sealed_line",
    "sealed_lines",
    "sha256",
    "sha256_digest",
    "sha256_of_blocks",
    "sha256_of_bytes",
    "sync",
    "synced_sha256",
    "unwritable",
    "write_atomically",
    "write_sealed",
    "write_tensors",
    "writing",
]
