// Which circuits are there, by family, then by the prompt's text?
// A short form of circuits.cypher without conditions, which reads no further than to the end of the page.
// Circuits whose prompt has no family come last.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   366 | ["08a6e3cd3b2edb3d19d3", "757fb3327aeebc01b97f", … 18 more]
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (c:Circuit)
  RETURN count(c) AS total
}
CALL () {
  CALL () {
    MATCH (f:Family)
    WITH f ORDER BY f.name
    CALL (f) {
      MATCH (f)<-[:IN_FAMILY]-(p:Prompt)<-[:OF_PROMPT]-(c:Circuit)
      RETURN c.id AS id ORDER BY p.text, id
    }
    RETURN id
  UNION ALL
    MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit)
    WHERE NOT EXISTS { (p)-[:IN_FAMILY]->() }
    RETURN c.id AS id ORDER BY p.text, id
  }
  WITH id SKIP $skip LIMIT $limit
  RETURN collect(id) AS rows
}
RETURN total, rows
