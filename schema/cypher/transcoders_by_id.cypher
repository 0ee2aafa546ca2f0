// What is known of these transcoder sets, and how many circuits were made with each?
:param keys => ["some-transcoders@000000000000"];

UNWIND $keys AS key
MATCH (t:TranscoderSet {id: key})-[:FOR]->(m:Model)
RETURN key, t.name AS name, t.revision AS revision, t.kind AS kind, t.activation AS activation,
       t.input_hook AS input_hook, t.output_hook AS output_hook, t.n_features AS n_features,
       COUNT { (t)<-[:BY]-() } AS circuits, m.id AS model_id, m.name AS model_name,
       m.revision AS model_revision, m.architecture AS model_architecture, m.n_layers AS model_n_layers,
       m.d_model AS model_d_model, m.vocab_size AS model_vocab_size, m.training_step AS model_training_step
