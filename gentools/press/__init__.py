"""What the makers of the course need: notebooks as files, their lint and ledger, running, storing, publishing.

A reader who writes and trains a model needs none of it; that is `gentools.lab`.
"""
