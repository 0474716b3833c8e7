"""The base of all other packages: errors, options, plugins, random streams, paths and files, fingerprints of source.

Nothing here imports another package; files, fingerprints and old names refer to others by name only.
"""
