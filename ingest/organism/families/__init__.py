"""The prompt families of the bundled corpus, one file each; `example` has what they share."""
