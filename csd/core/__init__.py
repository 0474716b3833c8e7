"""What every other package stands on: errors, options, plugins, random streams, files, fingerprints of source.

Nothing here imports other packages; files, fingerprints and old names know them by name.
"""
