//! A recording: units, rates, trials, and what is odd about the file.

use std::path::Path;

use glauber::model::{BinWidth, Interval, RecordedSession};
use glauber::recording::{self, Recording, TruthModel};
use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::{Manner, output, recordings, text};

/// Read a recording and print what it holds.
pub(super) fn show(path: &Path, part: Option<&str>, manner: Manner) -> Result<(), CliError> {
    let recording = recording::open_part(path, part)?;
    let truth = recording::read_truth(path)?.map(|truth| truth.model);
    let summary = Summary::of(&recording.session);
    if manner.json {
        return output::json(&to_json(path, &recording, &summary, truth));
    }
    output::print_facts(&facts(path, &recording, &summary, truth))
}

/// Numbers over all units.
struct Summary {
    spikes: u64,
    silent: u64,
    /// First and last spike, in seconds.
    span: Option<(f64, f64)>,
    /// Rates of the units over the span, in Hz, increasing.
    rates_hz: Vec<f64>,
}

impl Summary {
    fn of(session: &RecordedSession) -> Self {
        let trains = || session.units.iter().map(|unit| &unit.spike_times_ns);
        let first = trains().filter_map(|times| times.first()).min();
        let last = trains().filter_map(|times| times.last()).max();
        let span = first.zip(last).map(|(&first, &last)| (seconds(first), seconds(last)));
        let length_s = span.map_or(0.0, |(first, last)| last - first);
        let mut rates_hz: Vec<f64> = trains().map(|times| rate_hz(times.len(), length_s)).collect();
        rates_hz.sort_by(f64::total_cmp);
        Self {
            spikes: trains().map(|times| times.len() as u64).sum(),
            silent: trains().filter(|times| times.is_empty()).count() as u64,
            span,
            rates_hz,
        }
    }

    fn length_s(&self) -> f64 {
        self.span.map_or(0.0, |(first, last)| last - first)
    }

    /// Smallest, median and largest rate, in Hz.
    fn rates(&self) -> Option<(f64, f64, f64)> {
        let rates = &self.rates_hz;
        let (first, last) = (rates.first()?, rates.last()?);
        let middle = rates.len() / 2;
        let median = if rates.len().is_multiple_of(2) {
            (rates[middle - 1] + rates[middle]) / 2.0
        } else {
            rates[middle]
        };
        Some((*first, median, *last))
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

fn rate_hz(spikes: usize, length_s: f64) -> f64 {
    if length_s > 0.0 { spikes as f64 / length_s } else { 0.0 }
}

fn total_s(intervals: &[Interval]) -> f64 {
    intervals.iter().map(|interval| seconds(interval.stop_ns - interval.start_ns)).fold(0.0, |a, b| a + b)
}

fn facts(
    path: &Path,
    recording: &Recording,
    summary: &Summary,
    truth: Option<TruthModel>,
) -> Vec<(&'static str, String)> {
    let (session, about) = (&recording.session, &recording.facts);
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    let version = about
        .layout_version
        .as_deref()
        .map_or_else(String::new, |version| format!(" {}", shortened(version)));
    let mut facts = vec![
        ("file", format!("{}, {}", path.display(), text::bytes(size))),
        ("layout", format!("{}{version}", recording.layout.as_str())),
    ];
    let texts = [
        ("identifier", &about.identifier),
        ("description", &about.description),
        ("started", &about.session_start),
    ];
    for (name, value) in texts {
        facts.extend(value.as_ref().map(|value| (name, shortened(value))));
    }
    let place = about.units_object.as_deref().map_or_else(String::new, |object| format!(" in {object}"));
    facts.push((
        "units",
        format!("{}{place}, {} silent", text::count(session.units.len() as u64), text::count(summary.silent)),
    ));
    let span = summary.span.map_or_else(String::new, |(first, last)| {
        format!(" from {first:.3} s to {last:.3} s ({})", text::seconds(last - first))
    });
    facts.push(("spikes", format!("{}{span}", text::count(summary.spikes))));
    if let Some((min, median, max)) = summary.rates() {
        facts.push(("rates", format!("{min:.3} to {max:.3} Hz, median {median:.3} Hz")));
    }
    facts.extend(
        about
            .resolution_seconds
            .map(|resolution| ("resolution", format!("{} us", (resolution * 1e9).round() / 1e3))),
    );
    facts.push(("trials", text::count(session.trials.len() as u64)));
    if recordings::trials_leave_gaps(session) {
        facts.push(("", recordings::BETWEEN_TRIALS.to_owned()));
    }
    let masked = match session.invalid.len() as u64 {
        0 => "nothing".to_owned(),
        n => format!("{}, {}", text::counted(n, "interval"), text::seconds(total_s(&session.invalid))),
    };
    facts.push(("masked", masked));
    let observed = session.units.iter().filter(|unit| unit.observed.is_some()).count() as u64;
    if observed > 0 {
        facts.push(("observed", format!("observation intervals for {}", text::counted(observed, "unit"))));
    }
    if let Some(model) = truth {
        let of = match model {
            TruthModel::Kinetic => "couplings and fields of the simulation",
            TruthModel::Equilibrium => "couplings and fields of the simulated equilibrium model",
        };
        facts.push(("truth", of.to_owned()));
    }
    if recording.problems.is_empty() {
        facts.push(("problems", "none".to_owned()));
    }
    for (place, problem) in recording.problems.iter().enumerate() {
        facts.push((if place == 0 { "problems" } else { "" }, problem.to_string()));
    }
    let width = bin_width(about.resolution_seconds);
    // Without spikes there is nothing to fit.
    if summary.spikes > 0 {
        let path = text::quoted(path);
        facts.push(("next", format!("glauber fit {path} --bin-width {width} --out fit.h5")));
    }
    facts
}

/// A bin width to begin with: that of the times when they are binned already, else one that suits cortex and retina.
fn bin_width(resolution_seconds: Option<f64>) -> String {
    let us = resolution_seconds.map_or(0.0, |resolution| (resolution * 1e6).round());
    match BinWidth::from_us(us as u64) {
        Ok(width) if width.us() >= 1000 => width.to_string(),
        _ => "20ms".to_owned(),
    }
}

/// A text of the file on one line that fits the screen.
fn shortened(value: &str) -> String {
    const CHARS_MAX: usize = 66;
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= CHARS_MAX {
        return line;
    }
    let start: String = line.chars().take(CHARS_MAX - 1).collect();
    format!("{start}…")
}

fn to_json(path: &Path, recording: &Recording, summary: &Summary, truth: Option<TruthModel>) -> Value {
    let (session, about) = (&recording.session, &recording.facts);
    let interval = |interval: &Interval| json!([seconds(interval.start_ns), seconds(interval.stop_ns)]);
    let units: Vec<Value> = session
        .units
        .iter()
        .map(|unit| {
            json!({
                "id": unit.neuron.id,
                "label": unit.neuron.label,
                "spikes": unit.spike_times_ns.len(),
                "rate_hz": rate_hz(unit.spike_times_ns.len(), summary.length_s()),
            })
        })
        .collect();
    let rates = summary.rates();
    json!({
        "kind": "recording",
        "file": path.display().to_string(),
        "layout": recording.layout.as_str(),
        "layout_version": about.layout_version,
        "identifier": about.identifier,
        "description": about.description,
        "session_start": about.session_start,
        "resolution_s": about.resolution_seconds,
        "spikes": summary.spikes,
        "silent_units": summary.silent,
        "first_spike_s": summary.span.map(|span| span.0),
        "last_spike_s": summary.span.map(|span| span.1),
        "rate_hz": { "min": rates.map(|r| r.0), "median": rates.map(|r| r.1), "max": rates.map(|r| r.2) },
        "trials_s": session.trials.iter().map(interval).collect::<Vec<_>>(),
        "masked_s": session.invalid.iter().map(interval).collect::<Vec<_>>(),
        "has_truth": truth.is_some(),
        "truth_model": truth.map(|model| match model {
            TruthModel::Kinetic => "kinetic",
            TruthModel::Equilibrium => "equilibrium",
        }),
        "problems": recording.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "units": units,
    })
}
