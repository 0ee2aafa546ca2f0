"""`atlas mcp`: the questions as tools for assistants, over the Model Context Protocol."""

from atlas.commands.options import ApiAddress, TokenFile
from atlas.settings import Settings
from atlas.token_file import read_token


def mcp(api: ApiAddress = None, token_file: TokenFile = None) -> None:
    """Offer the questions to an assistant, as tools of the Model Context Protocol.

    For example: let the assistant start `atlas mcp` while `atlas serve` runs. The command talks over its
    standard input and output. The tools only read, and the API's limits hold. Needs the extra `mcp`.
    """
    from api.app import sdl
    from atlas.client import AtlasClient
    from atlas.serving.assistant import serve_assistant

    token = None if token_file is None else read_token(token_file)
    with AtlasClient(api or Settings.load().api, token=token) as client:
        serve_assistant(client, sdl())
