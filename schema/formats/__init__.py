"""Other tools' files, read into `schema.circuit.records`; one small file for each form, holding only what
differs.

raw              the graph JSON that they share, typed
variant          what differs; circuit_tracer · neuronpedia · crm · anthropic · eleuther · atlas are its cases
graph            raw and variant to a Circuit;   view   pins, supernodes and labels of a viewer
circuit_tracer_pt   its `.pt` graphs, as arrays;   pickled   their pickle, read without running it
features         feature files: labels and examples
files            which of all these a path is
"""
