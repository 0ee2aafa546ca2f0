"""Transcoders in one canonical form, whatever file format they come from.

transcoder   a transcoder of one layer, and the set of all layers
formats      the readers, one file per format
"""
