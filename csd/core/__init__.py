"""What every other package stands on: errors, plugins, random streams, files, memory, fingerprints of source.

Nothing here knows of lattices, fields or networks.
"""
