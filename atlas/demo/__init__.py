"""The demo: `atlas demo`.

running    the database with the bundled prompts, and the API
questions  three questions across circuits, with the queries in graphql/
studies    three studies on held-out prompts
"""
