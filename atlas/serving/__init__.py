"""Processes that run until they are stopped.

api_server   the GraphQL API, for `atlas serve` and the demo
worker       the worker on jobs, for `atlas ingest --watch`
"""
