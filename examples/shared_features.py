"""Which features do the circuits of one family share? One GraphQL question as a data frame.

    python examples/shared_features.py --family refusals --out shared.csv

Needs a running API (`make demo` or `atlas serve`) and polars (`pip install "circuit-atlas[examples]"`).
"""

import argparse
import sys

import polars as pl

from atlas.client import DEFAULT_URL, AtlasClient
from schema.errors import AtlasError

QUERY = """
query Shared($family: String!, $minCircuits: Int!, $after: String) {
  sharedFeatures(families: [$family], minCircuits: $minCircuits, orderBy: LIFT, first: 100, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges {
      node {
        nCircuits
        nConsidered
        share
        shareOutside
        lift
        meanInfluence
        feature { id layer labels { text } }
      }
    }
  }
}
"""

SCHEMA = {
    "feature": pl.String,
    "layer": pl.Int64,
    "circuits": pl.Int64,
    "considered": pl.Int64,
    "share": pl.Float64,
    "share_outside": pl.Float64,
    "lift": pl.Float64,
    "mean_influence": pl.Float64,
    "label": pl.String,
}


def shared_features(client: AtlasClient, family: str, min_circuits: int) -> pl.DataFrame:
    """One row a feature, the most typical of the family first. Raises AtlasError when the API does."""
    nodes = client.nodes(QUERY, {"family": family, "minCircuits": min_circuits}, field="sharedFeatures")
    rows = [
        (
            node["feature"]["id"],
            node["feature"]["layer"],
            node["nCircuits"],
            node["nConsidered"],
            node["share"],
            node["shareOutside"],
            node["lift"],
            node["meanInfluence"],
            next((label["text"] for label in node["feature"]["labels"]), None),
        )
        for node in nodes
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Features that the circuits of a family share, as a data frame."
    )
    parser.add_argument("--family", default="refusals", help="name of the family (default: refusals)")
    parser.add_argument("--min-circuits", type=int, default=5, help="shared by at least so many (default: 5)")
    parser.add_argument("--out", help="write the whole frame to this CSV file")
    parser.add_argument("--api", default=DEFAULT_URL, help=f"address of the API (default: {DEFAULT_URL})")
    arguments = parser.parse_args()
    try:
        with AtlasClient(arguments.api) as client:
            frame = shared_features(client, arguments.family, arguments.min_circuits)
    except AtlasError as error:
        sys.exit(f"error: {error}")
    print(frame.group_by("layer").agg(pl.len().alias("features"), pl.col("share").mean()).sort("layer"))
    print(frame.head(10))
    if arguments.out:
        frame.write_csv(arguments.out)
        print(f"{len(frame)} rows written to {arguments.out}")


if __name__ == "__main__":
    main()
