"""Declarations of jobs: circuits that somebody asked for, which the ingest service computes."""

from schema.model.declare import NodeType, P, RelationshipType

JOB = NodeType(
    "Job",
    "Circuits, or a claim about them, that were asked for. `atlas ingest --watch` takes it, one worker at a "
    "time; one that falls silent past `taken_until` loses it to the next one.",
    (
        P("id", "string", "hash of what is wanted and by whom: the same request again is the same job"),
        P("prompts", "list of strings", "JSON, each a line as a prompts file has it"),
        P(
            "claim",
            "string?",
            "JSON: what to measure on circuits; absent: circuits are wanted",
        ),
        P("transcoders", "string?", "id of the set it is for; absent: whatever its worker has"),
        P("asked_by", "string", "who wants them"),
        P("asked_at", "datetime", "when; the oldest job is taken first"),
        P("state", "string", "queued, running, done or failed"),
        P("n_prompts", "integer", "how many"),
        P("n_done", "integer", "of these, finished: loaded, there already, or refused"),
        P("attempts", "integer", "how often it was taken, and not handed back in good order"),
        P("problems", "list of strings", "what was wrong with single prompts"),
        P("error", "string?", "why the last attempt failed"),
        P("taken_by", "string?", "the worker that has it; absent: none, as in what follows"),
        P("taken_until", "datetime?", "when its lease ends, unless it renews it"),
        P("ended_at", "datetime?", "when it was done or failed"),
        P("measured", "string?", "id of the claim that it gave"),
    ),
    indexes=(("state", "asked_at"),),
)

JOB_NODES = (JOB,)
JOB_RELATIONSHIPS = (
    RelationshipType("GAVE", "Job", "Circuit", "A circuit that was asked for, or measured, and is there."),
)
