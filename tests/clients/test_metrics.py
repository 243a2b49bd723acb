"""/metrics: readable by Prometheus, and bounded whatever clients send."""

import math
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families
from wire import get, post_json

SERIES_MAX = 2_000
VALUES_MAX = 100


def scrape(address) -> dict:
    reply = get(address, "/metrics")
    assert reply.status == 200
    assert reply.headers.get_content_type() == "text/plain"
    assert reply.headers.get_param("version") == "0.0.4"
    families = list(text_string_to_metric_families(reply.body.decode()))
    repeated = [name for name, n in Counter(family.name for family in families).items() if n > 1]
    assert not repeated, f"families written twice: {repeated}"
    return {family.name: family for family in families}


def samples(families: dict) -> list:
    return [sample for family in families.values() for sample in family.samples]


def test_it_parses_and_every_family_is_described(address):
    families = scrape(address)
    assert families
    for family in families.values():
        assert family.type != "unknown", family.name
        assert family.documentation.strip(), family.name
    series = Counter((s.name, tuple(sorted(s.labels.items()))) for s in samples(families))
    repeated = [key for key, n in series.items() if n > 1]
    assert not repeated, f"series written twice: {repeated[:5]}"


def test_histograms_are_whole(address):
    families = scrape(address)
    histograms = [family for family in families.values() if family.type == "histogram"]
    assert histograms, "latencies are histograms"
    for family in histograms:
        buckets, counts = {}, {}
        for sample in family.samples:
            labels = dict(sample.labels)
            bound = float(labels.pop("le", "nan"))
            key = tuple(sorted(labels.items()))
            if sample.name.endswith("_bucket"):
                buckets.setdefault(key, []).append((bound, sample.value))
            elif sample.name.endswith("_count"):
                counts[key] = sample.value
        assert buckets.keys() == counts.keys(), family.name
        for key, found in buckets.items():
            values = [value for _, value in sorted(found)]
            assert values == sorted(values), f"{family.name}: buckets are not cumulative"
            assert max(found)[0] == math.inf, f"{family.name}: no +Inf bucket"
            assert values[-1] == counts[key], f"{family.name}: +Inf is not the count"


def test_served_models_are_named(address):
    models = {sample.labels.get("model") for sample in samples(scrape(address))}
    assert "simple" in models


def test_clients_cannot_make_labels(address):
    """Names, versions, ids and paths that clients invent never become label values."""
    before = len(samples(scrape(address)))
    for n in range(50):
        body = {"id": f"invented-id-{n}", "inputs": []}
        post_json(address, f"/v2/models/invented-{n}/infer", body)
        post_json(address, f"/v2/models/simple/versions/{7000 + n}/infer", body)
        get(address, f"/v2/invented-path-{n}")
    after = samples(scrape(address))
    values = {value for sample in after for value in sample.labels.values()}
    assert not [value for value in values if "invented" in value]
    assert not [value for value in values if value.isdigit() and 7000 <= int(value) < 7050]
    # A refusal may show a series or two for the first time; fifty would be one per request.
    assert len(after) - before < 50


def test_the_whole_is_bounded(address):
    found = samples(scrape(address))
    assert len(found) < SERIES_MAX
    values: dict[str, set[str]] = {}
    for sample in found:
        for label, value in sample.labels.items():
            values.setdefault(label, set()).add(value)
    for label, seen in values.items():
        assert len(seen) <= VALUES_MAX, f"label {label} has {len(seen)} values"
        assert all(len(value) <= 128 for value in seen), label
