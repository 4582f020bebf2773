"""The rules, one a file: `vx101_key_reuse.py` has the function `key_reuse`, whose docstring is the rule's page."""
