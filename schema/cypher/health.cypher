// Does the database answer, and how many circuits does it hold?
// One row.

MATCH (c:Circuit)
RETURN count(c) AS circuits
