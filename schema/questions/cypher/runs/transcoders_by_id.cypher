// What are the properties of these transcoder sets, and how many circuits were made with each?
// One row for each transcoder set that exists.
// $keys: ids of transcoder sets.
// Sample answer: key | name | revision | kind | activation | input_hook | output_hook | n_features | neuronpedia | neuronpedia_attention | measured | circuits | model_id | model_name | model_revision | model_architecture | model_n_layers | model_d_model | model_vocab_size | model_training_step
//   "organism-clt@247d388dcdf1" | "organism-clt" | "247d388dcdf1842864b23434f4342bab7d002235197a00b588033452251…" |
//     "clt" | "jumprelu" | "mlp.hook_in" | "mlp.hook_out" | 1536 | null | null | null | 366 |
//     "circuit-atlas/organism@0e36652b03e0" | "circuit-atlas/organism" |
//     "0e36652b03e0c4b05b14ad00d7aa0e11b4746b09a620d50b6c8632423e5…" | "LlamaForCausalLM" | 6 | 128 | 1321 | null
:param keys => ["organism-clt@247d388dcdf1"];

UNWIND $keys AS key
MATCH (t:TranscoderSet {id: key})-[:FOR]->(m:Model)
RETURN key, t.name AS name, t.revision AS revision, t.kind AS kind, t.activation AS activation,
       t.input_hook AS input_hook, t.output_hook AS output_hook, t.n_features AS n_features,
       t.neuronpedia AS neuronpedia, t.neuronpedia_attention AS neuronpedia_attention,
       t.measured AS measured,
       COUNT { (t)<-[:BY]-() } AS circuits, m.id AS model_id, m.name AS model_name,
       m.revision AS model_revision, m.architecture AS model_architecture, m.n_layers AS model_n_layers,
       m.d_model AS model_d_model, m.vocab_size AS model_vocab_size, m.training_step AS model_training_step
