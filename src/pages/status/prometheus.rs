//! The status as metrics, in Prometheus' text format (version 0.0.4).
//!
//! Only what this node knows itself: each node of the tree is scraped for its own. Times are
//! seconds. Rates and ages are for Prometheus to compute.

mod format;

use format::Text;

use super::model::{Child, Node};

/// The metrics of a node and its children, whose names differ from each other.
pub(super) fn metrics(node: &Node) -> String {
    let mut text = Text::default();
    of_node(&mut text, node);
    // In the order in which they are most looked for.
    of_reach(&mut text, &node.children);
    of_missing_logs(&mut text, &node.children);
    of_deliveries(&mut text, &node.children);
    of_catch_up(&mut text, &node.children);
    text.0
}

fn of_node(text: &mut Text, node: &Node) {
    let mut build = text.gauge("filedist_build_info", "Version of the module, and of nginx.");
    build.sample(&[("version", &node.version), ("nginx_version", &node.nginx)], 1);
    let mut since = text.gauge(
        "filedist_start_timestamp_seconds",
        "When nginx was started: since then the node counts.",
    );
    since.sample(&[], seconds(node.since));
    let mut time = text.gauge("filedist_time_seconds", "The node's clock.");
    time.sample(&[], seconds(node.time));
    let mut now = text.gauge("filedist_changes_in_flight", "Uploads and deletes under way.");
    now.sample(&[], node.changes_in_flight);

    let changes = &node.changes;
    let mut answered = text.counter(
        "filedist_changes_total",
        "Uploads and deletes answered, by what became of them on this node.",
    );
    for (outcome, count) in [
        ("stored", changes.stored),
        ("deleted", changes.deleted),
        ("superseded", changes.superseded),
        ("failed", changes.failed),
    ] {
        answered.sample(&[("outcome", outcome)], count);
    }
    let mut stored = text.counter("filedist_stored_bytes_total", "Bytes of the files stored.");
    stored.sample(&[], changes.stored_bytes);
}

fn of_reach(text: &mut Text, children: &[Child]) {
    text.gauge(
        "filedist_child_up",
        "Whether the child answered when it was last asked; absent before that.",
    )
    .each(children, |child| child.up.map(u8::from));
    text.gauge(
        "filedist_child_up_changed_timestamp_seconds",
        "Since when the child has been up or down.",
    )
    .each(children, |child| child.since.map(seconds));
    text.gauge(
        "filedist_child_last_delivery_timestamp_seconds",
        "When the child last took a change.",
    )
    .each(children, |child| child.last_delivery.map(seconds));
}

fn of_missing_logs(text: &mut Text, children: &[Child]) {
    text.gauge("filedist_child_missing_entries", "Changes that the child has not got yet.")
        .each(children, |child| Some(child.missing.entries));
    text.gauge("filedist_child_missing_bytes", "Bytes of files that are to be sent for them.")
        .each(children, |child| Some(child.missing.bytes));
    text.gauge(
        "filedist_child_missing_oldest_timestamp_seconds",
        "When the oldest of them was missed.",
    )
    .each(children, |child| child.missing.oldest.map(seconds));
    text.gauge(
        "filedist_child_unservable_entries",
        "Those of them whose file no node has any more: only a new PUT or a DELETE of it helps.",
    )
    .each(children, |child| Some(child.missing.unservable));
}

fn of_deliveries(text: &mut Text, children: &[Child]) {
    text.counter("filedist_child_deliveries_total", "Changes that the child has taken.")
        .each(children, |child| Some(child.deliveries));
    text.counter("filedist_child_sent_bytes_total", "Bytes of files sent to the child.")
        .each(children, |child| Some(child.sent_bytes));
    let mut failed = text.counter(
        "filedist_child_delivery_failures_total",
        "Deliveries that failed: the child was unreachable, too slow (timeout), or answered with \
         an error (refused); or the upload or the worker ended before (interrupted).",
    );
    for child in children {
        let failures = &child.failures;
        for (reason, count) in [
            ("unreachable", failures.unreachable),
            ("timeout", failures.timeout),
            ("refused", failures.refused),
            ("interrupted", failures.interrupted),
        ] {
            failed.sample(&[("child", &child.name), ("reason", reason)], count);
        }
    }
}

fn of_catch_up(text: &mut Text, children: &[Child]) {
    text.gauge(
        "filedist_child_catch_up_running",
        "Whether the child is being sent what it missed.",
    )
    .each(children, |child| Some(u8::from(child.catch_up.is_some())));
    text.gauge(
        "filedist_child_catch_up_start_timestamp_seconds",
        "When the catch-up under way began.",
    )
    .each(children, |child| child.catch_up.as_ref().map(|run| seconds(run.since)));
    text.gauge(
        "filedist_child_catch_up_delivered_entries",
        "Entries delivered by the catch-up under way.",
    )
    .each(children, |child| child.catch_up.as_ref().map(|run| run.done));
    text.gauge(
        "filedist_child_provisioning_running",
        "Whether all files are being put into the child's missing log.",
    )
    .each(children, |child| Some(u8::from(child.provisioning.is_some())));
    text.gauge(
        "filedist_child_provisioning_start_timestamp_seconds",
        "When the provisioning under way began.",
    )
    .each(children, |child| child.provisioning.as_ref().map(|run| seconds(run.since)));
    text.gauge(
        "filedist_child_provisioning_listed_files",
        "Files listed by the provisioning under way.",
    )
    .each(children, |child| child.provisioning.as_ref().map(|run| run.listed));
}

/// Milliseconds as seconds.
fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::model::{CatchUp, Changes, Failures, Missing, Provisioning};
    use super::*;

    fn child(name: &str) -> Child {
        Child { name: name.into(), ..Child::default() }
    }

    fn busy() -> Node {
        let down = Child {
            up: Some(false),
            since: Some(1_763_810_645_120),
            last_delivery: Some(1_763_810_600_000),
            deliveries: 12,
            sent_bytes: 34,
            failures: Failures { unreachable: 1, timeout: 2, refused: 3, interrupted: 4 },
            missing: Missing {
                entries: 5,
                bytes: 6,
                oldest: Some(1_763_810_645_007),
                unservable: 1,
            },
            catch_up: Some(CatchUp { since: 1_763_810_646_000, done: 7 }),
            provisioning: Some(Provisioning { since: 1_763_810_647_000, listed: 8 }),
            ..child("10.0.0.2:8080")
        };
        Node {
            name: "root".into(),
            version: "0.1.0".into(),
            nginx: "1.28.0".into(),
            time: 1_763_810_648_009,
            since: 1_763_810_000_000,
            changes_in_flight: 2,
            changes: Changes { stored: 1, stored_bytes: 2, deleted: 3, superseded: 4, failed: 5 },
            children: vec![down, child("10.0.0.3:8080")],
        }
    }

    /// What stands before the first space or brace of each sample.
    fn names(text: &str) -> Vec<&str> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap()).collect()
    }

    #[test]
    fn each_metric_has_help_and_type_once_and_before_its_samples() {
        let text = metrics(&busy());
        let lines: Vec<&str> = text.lines().collect();
        let mut samples = names(&text);
        samples.dedup();
        assert!(samples.len() > 20, "{samples:?}");
        for name in samples {
            let starts =
                |start: String| lines.iter().filter(|line| line.starts_with(&start)).count();
            assert_eq!(starts(format!("# HELP {name} ")), 1, "{name}");
            assert_eq!(starts(format!("# TYPE {name} ")), 1, "{name}");
            let first = lines.iter().position(|line| line.starts_with(name)).unwrap();
            let before = format!("# TYPE {name} ");
            assert!(first > 1 && lines[first - 1].starts_with(&before), "{name}");
        }
    }

    #[test]
    fn counters_and_only_they_end_with_total() {
        let text = metrics(&busy());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let (counters, gauges): (Vec<_>, Vec<_>) =
            types.partition(|line| line.ends_with("counter"));
        assert_eq!(counters.len(), 5, "{counters:?}");
        assert!(counters.iter().all(|line| line.ends_with("_total counter")), "{counters:?}");
        assert!(gauges.iter().all(|line| !line.contains("_total")), "{gauges:?}");
    }

    #[test]
    fn samples_are_those_of_the_status() {
        let text = metrics(&busy());
        for line in [
            r#"filedist_build_info{version="0.1.0",nginx_version="1.28.0"} 1"#,
            "filedist_changes_in_flight 2",
            r#"filedist_changes_total{outcome="superseded"} 4"#,
            r#"filedist_child_up{child="10.0.0.2:8080"} 0"#,
            r#"filedist_child_missing_entries{child="10.0.0.2:8080"} 5"#,
            r#"filedist_child_missing_entries{child="10.0.0.3:8080"} 0"#,
            r#"filedist_child_missing_oldest_timestamp_seconds{child="10.0.0.2:8080"} 1763810645.007"#,
            r#"filedist_child_up_changed_timestamp_seconds{child="10.0.0.2:8080"} 1763810645.120"#,
            r#"filedist_child_delivery_failures_total{child="10.0.0.2:8080",reason="refused"} 3"#,
            r#"filedist_child_catch_up_delivered_entries{child="10.0.0.2:8080"} 7"#,
            r#"filedist_child_provisioning_listed_files{child="10.0.0.2:8080"} 8"#,
        ] {
            assert_eq!(text.lines().filter(|&have| have == line).count(), 1, "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let text = metrics(&busy());
        let known = |name: &str| text.contains(&format!("{name}{{child=\"10.0.0.3:8080\"}}"));
        assert!(known("filedist_child_deliveries_total"));
        for name in ["up", "up_changed_timestamp_seconds", "missing_oldest_timestamp_seconds"] {
            assert!(!known(&format!("filedist_child_{name}")), "{name}");
        }
    }

    #[test]
    fn hostile_names_stay_within_their_label() {
        let name = "a\"} 1\nfiledist_child_up{child=\"b\\";
        let text = metrics(&Node { children: vec![child(name)], ..Node::default() });
        let line =
            r#"filedist_child_deliveries_total{child="a\"} 1\nfiledist_child_up{child=\"b\\"} 0"#;
        assert!(text.lines().any(|have| have == line), "{text}");
        assert!(!names(&text).contains(&"filedist_child_up"), "{text}");
    }
}
