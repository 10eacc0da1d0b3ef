"""The page around a `LabelSession`; needs the extra ``label``."""
