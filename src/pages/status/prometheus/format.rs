//! The text format: a metric's HELP and TYPE, then its samples.

use std::fmt::{Display, Write};

use crate::pages::status::model::Child;

/// Metrics, one after the other.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

/// A metric whose HELP and TYPE have been written; its samples have to follow.
pub(super) struct Metric<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl Text {
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "gauge", help)
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "counter", help)
    }

    fn metric(&mut self, name: &'static str, kind: &str, help: &str) -> Metric<'_> {
        _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Metric { out: &mut self.0, name }
    }
}

impl Metric<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(self.name);
        for (i, (label, value)) in labels.iter().enumerate() {
            let before = if i == 0 { '{' } else { ',' };
            _ = write!(self.out, "{before}{label}=\"{}\"", escaped(value));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        _ = writeln!(self.out, "{after} {value}");
    }

    /// A sample for each child that has a value.
    pub(super) fn each<V: Display>(
        &mut self,
        children: &[Child],
        value: impl Fn(&Child) -> Option<V>,
    ) {
        for child in children {
            if let Some(value) = value(child) {
                self.sample(&[("child", &child.name)], value);
            }
        }
    }
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
