// What are the properties of these circuits?
// One row for each circuit that exists. Scores and shares are between 0 and 1; a property that was not recorded is
// null.
// $keys: ids of circuits.
// Sample answer: key | prompt | transcoders | run | target | target_position | node_threshold | edge_threshold | max_feature_nodes | max_edges | dtype | special_first_token | n_left_out | replacement_score | completeness_score | error_share | error_share_low | error_share_high | derived | n_active_features | n_selected_features | kept_influence | n_nodes | n_edges | answer | answer_probability | correct | continuation | tool | slug | source_set | creator | description | title | creator_url | source_urls | generator
//   "f8d98257b1a3c1872ea8" | "df67c3dfb7af4bd9dceb" | "organism-clt@247d388dcdf1" | "6321922fccc6281d34f9" |
//     "salient-logits(10, 0.95)" | 9 | 0.8 | 0.98 | null | null | "float32" | true | 1 | 0.946 | 0.984 | 0.0381 |
//     null | null | null | 314 | 314 | 0.82 | 35 | 175 | "austin" | 1 | true | null | null | null | null | null |
//     null | null | null | null | null
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit {id: key})-[:BY]->(t:TranscoderSet)
RETURN key, p.id AS prompt, t.id AS transcoders, head([(c)-[:FROM_RUN]->(r:Run) | r.id]) AS run,
       c.target AS target, c.target_position AS target_position, c.node_threshold AS node_threshold,
       c.edge_threshold AS edge_threshold, c.max_feature_nodes AS max_feature_nodes, c.max_edges AS max_edges,
       c.dtype AS dtype,
       c.special_first_token AS special_first_token, c.n_left_out AS n_left_out,
       c.replacement_score AS replacement_score,
       c.completeness_score AS completeness_score, c.error_share AS error_share,
       c.error_share_low AS error_share_low, c.error_share_high AS error_share_high, c.derived AS derived,
       c.n_active_features AS n_active_features, c.n_selected_features AS n_selected_features,
       c.kept_influence AS kept_influence, c.n_nodes AS n_nodes, c.n_edges AS n_edges,
       c.answer AS answer, c.answer_probability AS answer_probability, c.correct AS correct,
       c.continuation AS continuation,
       c.tool AS tool, c.slug AS slug, c.source_set AS source_set, c.creator AS creator,
       c.description AS description, c.title AS title, c.creator_url AS creator_url,
       c.source_urls AS source_urls, c.generator AS generator
