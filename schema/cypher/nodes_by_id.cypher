// What is known of these nodes of circuits?
:param keys => ["00000000000000000000/feature:0:1:2"];

UNWIND $keys AS key
MATCH (n:Node {id: key})
RETURN key,
       CASE WHEN n:FeatureNode THEN "feature" WHEN n:ErrorNode THEN "error" WHEN n:TokenNode THEN "token"
            WHEN n:LogitNode THEN "logit" ELSE "other" END AS kind,
       n.layer AS layer, n.position AS position, n.position_from_end AS position_from_end, n.index AS number,
       n.activation AS activation, n.influence AS influence, n.cumulative AS cumulative, n.token AS token,
       n.probability AS probability, head([(n)-[:INSTANCE_OF]->(f:Feature) | f.id]) AS feature
