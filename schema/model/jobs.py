"""Declarations of jobs: requests for circuits or claims, which the ingest service computes."""

from schema.model.declare import NodeType, P, RelationshipType

JOB = NodeType(
    "Job",
    "A request for circuits, or for a claim about circuits. One worker of `atlas ingest --watch` at a time "
    "takes it. A worker that does not renew its lease before taken_until loses the job to another worker.",
    (
        P(
            "id",
            "string",
            "Hash of the request and of the person who asked. Repeating a request gives the same job.",
        ),
        P("prompts", "list of strings", "The prompts, each as JSON in the form of a line of a prompts file."),
        P(
            "claim",
            "string?",
            "What to measure on circuits, as JSON. Absent if circuits are requested.",
        ),
        P(
            "transcoders",
            "string?",
            "Id of the transcoder set to use. Absent if the worker uses the set that it has.",
        ),
        P("asked_by", "string", "Name of the person who asked."),
        P("asked_at", "datetime", "Time in UTC of the request. The oldest job is taken first."),
        P("state", "string", "queued, running, done or failed."),
        P("n_prompts", "integer", "Number of prompts, 0 or more."),
        P(
            "n_done",
            "integer",
            "Number of prompts that are finished: loaded, stored already, or refused; 0 to n_prompts.",
        ),
        P(
            "attempts",
            "integer",
            "Number of times that a worker took the job and did not hand it back properly, 0 or more.",
        ),
        P(
            "problems",
            "list of strings",
            "What was wrong with single prompts: one text for each refused prompt.",
        ),
        P("error", "string?", "Why the last attempt failed. Absent if no attempt failed."),
        P("taken_by", "string?", "Name of the worker that has the job. Absent while no worker has it."),
        P(
            "taken_until",
            "datetime?",
            "Time in UTC when the worker's lease ends unless the worker renews it. Absent while no worker "
            "has it.",
        ),
        P("ended_at", "datetime?", "Time in UTC when the job was done or failed. Absent before."),
        P("measured", "string?", "Id of the claim that was measured. Absent unless a claim was requested."),
    ),
    indexes=(("state", "asked_at"),),
)

JOB_NODES = (JOB,)
JOB_RELATIONSHIPS = (
    RelationshipType("GAVE", "Job", "Circuit", "A stored circuit that a job requested or measured."),
)
