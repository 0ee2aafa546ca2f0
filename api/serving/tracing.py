"""OpenTelemetry traces: a span for each GraphQL operation, its parsing, its validation and its resolvers.

OpenTelemetry is imported only when traces are wanted. Its packages are those of the extra `otel`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from schema.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from strawberry.extensions import SchemaExtension

SERVICE = "circuit-atlas"
"""Name of the service when OTEL_SERVICE_NAME is not set."""


def tracer_provider(endpoint: str | None = None) -> "TracerProvider":
    """A provider that sends spans in batches, as OTLP over HTTP. Its `shutdown` sends the last spans.

    endpoint: address of a collector, such as http://localhost:4318; None: the OTEL_… environment variables
    decide. Raises InputError when the packages are missing or the address is not an HTTP address.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InputError(
            "Traces need OpenTelemetry, which is not installed",
            next_step='install the extra: pip install "circuit-atlas[otel]"',
        ) from error
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InputError(
            f"{endpoint} is not the address of a collector of traces",
            next_step="give an address such as http://localhost:4318 (OTLP over HTTP)",
        )
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def traced(provider: "TracerProvider") -> "Callable[[], SchemaExtension]":
    """Makes the extension that traces one request."""
    from strawberry.extensions.tracing import OpenTelemetryExtension

    return lambda: OpenTelemetryExtension(tracer_provider=provider)
