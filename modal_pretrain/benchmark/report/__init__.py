"""What records say: tables, curves, verdicts, one page."""
