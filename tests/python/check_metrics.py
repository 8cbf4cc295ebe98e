"""Read what the daemon tells Prometheus with the parser of Prometheus' own client: python check_metrics.py FILE."""

import sys

from prometheus_client.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8") as file:
    families = list(text_string_to_metric_families(file.read()))

names = [family.name for family in families]
assert len(names) == len(set(names)) and len(names) > 40, names
for family in families:
    assert family.type in ("counter", "gauge", "histogram"), (family.name, family.type)
    assert family.documentation, f"{family.name} has no HELP"
    seen = set()
    for sample in family.samples:
        assert sample.value == sample.value and abs(sample.value) != float("inf"), sample
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, f"twice: {key}"
        seen.add(key)
        assert not {"neuron", "sender", "receiver", "pair"} & set(sample.labels), sample
        if family.type == "counter":
            assert sample.name == family.name + "_total" and sample.value >= 0, sample
by_name = {family.name: family for family in families}
info = by_name["glauber_session_info"].samples
assert [sample.labels["name"] for sample in info] == ['a "rig"\\'], info
buckets = [sample for sample in by_name["glauber_refresh_seconds"].samples if sample.name.endswith("_bucket")]
counts = [sample.value for sample in buckets]
assert counts == sorted(counts) and buckets[-1].labels["le"] == "+Inf", buckets
print("all checks passed")
