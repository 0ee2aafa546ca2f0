"""One small file per architecture: where its parts are, in the terms of `anatomy`."""
