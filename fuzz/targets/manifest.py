"""A bundle's manifest, and the files that it names."""

from fuzz.targets import file, folder, refusing
from lightmine.loading.bundle import MANIFEST, manifest_json, parse_manifest, read_manifest, verify_files


def one_input(data):
    file(MANIFEST, data)
    with refusing():
        manifest = read_manifest(folder())
        # What was read can be written, and says the same again.
        import json

        assert parse_manifest(json.loads(manifest_json(manifest)), folder() / MANIFEST) == manifest
        verify_files(folder(), manifest)
