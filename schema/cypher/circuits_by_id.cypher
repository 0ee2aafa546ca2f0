// What is known of these circuits?
// One row for each circuit that exists.
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit {id: key})-[:BY]->(t:TranscoderSet)
RETURN key, p.id AS prompt, t.id AS transcoders, head([(c)-[:FROM_RUN]->(r:Run) | r.id]) AS run,
       c.target AS target, c.target_position AS target_position, c.node_threshold AS node_threshold,
       c.edge_threshold AS edge_threshold, c.max_feature_nodes AS max_feature_nodes, c.dtype AS dtype,
       c.special_first_token AS special_first_token, c.replacement_score AS replacement_score,
       c.completeness_score AS completeness_score, c.error_share AS error_share,
       c.n_active_features AS n_active_features, c.n_selected_features AS n_selected_features,
       c.kept_influence AS kept_influence, c.n_nodes AS n_nodes, c.n_edges AS n_edges,
       c.answer AS answer, c.answer_probability AS answer_probability, c.correct AS correct
