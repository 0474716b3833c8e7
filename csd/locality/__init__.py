"""What a score of finite range loses: conditional mutual information, gaps of scores, phases of data.

Nothing here trains, generates, or writes files.
"""
