"""What every other package stands on: errors, plugins, random streams, files, memory, fingerprints of source.

Nothing here imports other packages; files, fingerprints and old names know them by name.
"""
