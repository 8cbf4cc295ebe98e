//! The table: rows, whether they are what was aimed at, and how they are written.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// One thing that was measured.
pub(crate) struct Row {
    what: String,
    outcome: Outcome,
    /// What it should be at most, in the unit of the value.
    at_most: Option<f64>,
    /// What belongs to the value, such as its parts.
    beside: String,
    /// Share of a limit of the machine, or ratio to a baseline.
    against: Vec<String>,
    command: String,
}

enum Outcome {
    Measured { value: f64, unit: &'static str },
    Failed(String),
    Skipped(String),
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self::of(what, Outcome::Measured { value, unit })
    }

    /// Something that should have been measured and was not: the table has failed.
    pub(crate) fn failed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::of(what, Outcome::Failed(why.into()))
    }

    /// Something that cannot be measured here.
    pub(crate) fn skipped(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::of(what, Outcome::Skipped(why.into()))
    }

    fn of(what: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            what: what.into(),
            outcome,
            at_most: None,
            beside: String::new(),
            against: Vec::new(),
            command: String::new(),
        }
    }

    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { at_most: Some(limit), ..self }
    }

    pub(crate) fn beside(self, beside: impl Into<String>) -> Self {
        Self { beside: beside.into(), ..self }
    }

    pub(crate) fn against(mut self, against: impl Into<String>) -> Self {
        self.against.push(against.into());
        self
    }

    pub(crate) fn by(self, command: &str) -> Self {
        Self { command: command.to_owned(), ..self }
    }

    fn measured(&self) -> String {
        match &self.outcome {
            Outcome::Measured { value, unit } if self.beside.is_empty() => number(*value, unit),
            Outcome::Measured { value, unit } => format!("{} ({})", number(*value, unit), self.beside),
            Outcome::Failed(why) => format!("failed: {why}"),
            Outcome::Skipped(why) => format!("skipped: {why}"),
        }
    }

    fn is_met(&self) -> Option<bool> {
        match (&self.outcome, self.at_most) {
            (Outcome::Measured { value, .. }, Some(limit)) => Some(*value <= limit),
            _ => None,
        }
    }

    fn target(&self) -> String {
        let (Some(limit), Some(is_met), Outcome::Measured { unit, .. }) =
            (self.at_most, self.is_met(), &self.outcome)
        else {
            return String::new();
        };
        let verdict = if is_met { "met" } else { "**not met**" };
        format!("≤ {limit} {unit}: {verdict}")
    }

    /// For whoever waits.
    pub(crate) fn line(&self) -> String {
        let parts = [vec![self.measured(), self.target()], self.against.clone()].concat();
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        format!("{}: {}", self.what, parts.join("; "))
    }

    fn json(&self) -> Value {
        let (value, unit, failed, skipped) = match &self.outcome {
            Outcome::Measured { value, unit } => (Some(*value), Some(*unit), None, None),
            Outcome::Failed(why) => (None, None, Some(why), None),
            Outcome::Skipped(why) => (None, None, None, Some(why)),
        };
        json!({
            "what": self.what, "value": value, "unit": unit, "beside": self.beside, "failed": failed, "skipped": skipped,
            "at_most": self.at_most, "met": self.is_met(), "against": self.against, "command": self.command,
        })
    }
}

/// Rows about the same thing.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// Everything that was measured.
pub(crate) struct Table {
    pub(crate) machine: String,
    pub(crate) quick: bool,
    pub(crate) seconds: f64,
    pub(crate) sections: Vec<Section>,
}

impl Table {
    pub(crate) fn has_failed(&self) -> bool {
        let mut rows = self.sections.iter().flat_map(|section| &section.rows);
        rows.any(|row| matches!(row.outcome, Outcome::Failed(_)))
    }

    pub(crate) fn markdown(&self) -> String {
        let quick = if self.quick { " A quick run: numbers are rough." } else { "" };
        let mut text = format!("{} One run, {:.0} s.{quick}\n", self.machine, self.seconds);
        for section in &self.sections {
            // One table in each section, so that its head is in view.
            let _ = write!(
                text,
                "\n| {} | measured | target | limit or baseline | command |\n|---|---|---|---|---|\n",
                section.title
            );
            let mut before = "";
            for row in &section.rows {
                let command = match row.command.as_str() {
                    "" => String::new(),
                    same if same == before => "″".to_owned(),
                    command => format!("`{command}`"),
                };
                before = &row.command;
                let cells = [row.what.clone(), row.measured(), row.target(), row.against.join("; "), command];
                let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let section = |section: &Section| {
            let rows: Vec<Value> = section.rows.iter().map(Row::json).collect();
            json!({ "name": section.name, "rows": rows })
        };
        json!({
            "machine": self.machine,
            "quick": self.quick,
            "seconds": self.seconds,
            "sections": self.sections.iter().map(section).collect::<Vec<_>>(),
        })
    }
}

/// Three digits, or all of the integer part.
pub(crate) fn digits(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size == 0.0 || size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ if size >= 0.09995 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn number(value: f64, unit: &str) -> String {
    if unit.is_empty() { digits(value) } else { format!("{} {unit}", digits(value)) }
}

/// How many times as long a baseline takes as something of ours.
pub(crate) fn times(ratio: f64, ours: &str) -> String {
    format!("{}× the time of {ours}", digits(ratio))
}

/// A share in per cent.
pub(crate) fn share(of: &str, share: f64) -> String {
    format!("{:.0} % of {of}", 100.0 * share)
}
