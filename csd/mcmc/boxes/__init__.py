"""Posteriors of a site given a box around it: chains of all sites, of which those outside the box are not observed.

Nothing here trains, or says what follows for generated fields; `csd.locality` does.
"""
