"""Reads files of other tools into `schema.circuit.records`. A small file for each format has its differences.

files              find files, recognise their formats, read and unpack them
raw                the typed form of the graph JSON that all tools share
variant            what differs between tools
                   variants: circuit_tracer, neuronpedia, crm, anthropic, eleuther, atlas (our own exports)
first_sets         which set graphs of before files named one were made with
numbers            how graph files number features
graph              graph JSON of any variant to a circuit
view               pins, supernodes and labels from a viewer
qk_tracing         attention scores that other tools traced
circuit_tracer_pt  circuit-tracer's `.pt` graphs as arrays
pickled            files of torch.save, read without executing anything
features           feature files: labels and examples
"""
