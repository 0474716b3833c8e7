"""A study's files of phases as one Dataset, and the numbers in it that claims are about.

Nothing here computes what scores of finite range lose, or draws it.
"""
