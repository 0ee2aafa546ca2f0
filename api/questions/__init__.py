"""The questions of the GraphQL schema: one file for each, with its types and a class of root fields.

| file | root fields |
|---|---|
| `circuits`, `features`, `families` | `circuit`, `circuits`; `feature`, `features`; `families` |
| `supernodes`, `runs`, `search` | `supernodes`; `runs`; `search` |
| `shared`, `sharing` | `sharedFeatures`; `circuitsSharing` |
| `contrast`, `compare`, `similar` | `contrast`; `compareCircuits`; `similarCircuits` |
| `recurring_edges`, `paths`, `motifs` | `recurringEdges`; `paths`; `motifs` |
| `drives_logit` | `drivesLogit` |
| `hubs`, `modules`, `heads` | `hubs`; `modules`; `headsByFamily` |
| `presence`, `audit`, `flow`, `tokens` | `presence`; `errorAudit`; `flowStages`; `tokensOfFamily` |
| `components`, `diagnostics` | `components`; `diagnostics` |
| `claims`, `hypotheses` | `claims`; `hypotheses` |
| `checkpoints`, `vectors` | `checkpoints`, `compareCheckpoints`; `nearestFeatures`, `similarLabels` |
| `considered` | no field: the circuits of a set (the denominator), and the check of names |
| `significance` | no field: the p-values and q-values of shared features |

A new question
--------------
1. Write the query: `schema/questions/cypher/<folder>/<name>.cypher`. Its first comment is the question, its
   `:param` lines give sample values, and its columns are the fields of the row.
2. Declare the row and the question in the file of their noun in `schema/questions`:

       class HubRow(NamedTuple): …
       HUBS = Question("hubs", page_of(HubRow))       # a list, asked page by page
       FLOW_STAGES = Question("flow_stages", _stages)  # one answer: row_of(…), or a function of its record

3. Add a file here. Copy `flow` for a question with one answer, `hubs` for a list of its own rows, `circuits`
   for a list of circuits, and `sharing` for a list with a denominator. The file holds

   - the types of the answer. The description of a field says what it is, its unit and range, its denominator,
     and when it is null;
   - a class `XQuery` with the resolver. It checks its arguments (`api.request.inputs`) and the names in them
     (`considered.require_known`), and returns a value that says what to ask:

         return connect(info, Listing(HUBS, asked), first, after, HubFeature.of)

   Page sizes, cursors, limits, errors and batching then come from `api.request`, downloads from
   `api.downloads`.
4. Add `XQuery` to the list in `api/query.py`, and run `make docs`.
5. Test: copy `tests/api/questions/test_flow.py`, which computes the answer again in plain Python.

For a page with a sample answer, and for a list that can be downloaded, see `docs/how-to-add.md`.
"""
