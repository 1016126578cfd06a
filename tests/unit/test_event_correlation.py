"""Events are counted, combined and held back as client-go's recorder does."""

from __future__ import annotations

from labrunner.sandbox.kube.events import EventCorrelator, Source

WEB = Source("replicaset-controller", "", "ReplicaSet", "shop", "web", "u1")


def said(correlator: EventCorrelator, message: str, at: float = 1_000.0, about: Source = WEB) -> tuple[str, int] | None:
    verdict = correlator.correlate(about, "Warning", "FailedCreate", message, at)
    return (verdict.message, verdict.count) if verdict else None


def test_a_repeated_event_is_counted_under_its_name() -> None:
    correlator = EventCorrelator()
    first = correlator.correlate(WEB, "Normal", "Pulled", "done", 1_000.0)
    again = correlator.correlate(WEB, "Normal", "Pulled", "done", 1_060.0)
    assert first and again
    assert (again.name, again.count, again.first) == (first.name, 2, 1_000.0)


def test_later_events_of_an_object_have_later_names() -> None:
    correlator = EventCorrelator()
    names = []
    for reason in "cab":
        verdict = correlator.correlate(WEB, "Normal", reason, reason, 1_000.0)
        assert verdict
        names.append(verdict.name)
    assert names == sorted(names)
    assert names[0].startswith("web.")


def test_more_than_ten_messages_under_one_reason_are_combined() -> None:
    correlator = EventCorrelator()
    found = [said(correlator, f"no pod-{n}") for n in range(13)]
    assert found[:10] == [(f"no pod-{n}", 1) for n in range(10)]
    assert found[10:] == [(f"(combined from similar events): no pod-{n}", n - 9) for n in (10, 11, 12)]


def test_messages_are_combined_within_ten_minutes_only() -> None:
    correlator = EventCorrelator()
    for n in range(10):
        said(correlator, f"no pod-{n}")
    assert said(correlator, "no pod-x", at=1_601.0) == ("no pod-x", 1)


def test_a_flood_about_one_object_is_held_back_and_others_are_not() -> None:
    correlator = EventCorrelator()
    assert sum(said(correlator, "no") is not None for _ in range(100)) == 25
    assert said(correlator, "no", at=1_301.0) is not None
    other = Source("replicaset-controller", "", "ReplicaSet", "shop", "api", "u2")
    assert said(correlator, "no", about=other) == ("no", 1)
