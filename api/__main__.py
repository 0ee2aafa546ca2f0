"""`python -m api > api/schema.graphql` writes the GraphQL schema."""

import sys

from api.app import sdl

sys.stdout.write(sdl())
