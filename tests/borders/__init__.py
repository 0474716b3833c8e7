"""What new users tried at the borders: their classes, studies, paths and arrays, in tables of one line an input."""
