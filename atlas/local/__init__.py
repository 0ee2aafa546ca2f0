"""The local Neo4j: a database without Docker or Java of your own.

server   start and stop it, and ask for its state
jars     its files, downloaded once
ports    whether ports are free
admin    backup, restore and bulk import, while it is stopped
login    the login to it, or to the user's own Neo4j
doctor   checks of the installation
"""
