//! The newest bins of a live session, as a recording that lasts as long.

use std::ops::Range;
use std::time::Duration;

use glauber::model::{BinWidth, Interval, Neuron, RecordedSession, RecordedUnit};
use glauber::proto::v1;
use tonic::Code;

use crate::cli::client::{Daemon, session_name};
use crate::cli::error::CliError;
use crate::cli::plot::figures::order::Sort;
use crate::cli::plot::figures::raster::{Binned, RasterView};
use crate::cli::text;

/// Spikes at the middles of their bins, time 0 at the left edge of bin 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Newest {
    pub(crate) spikes: RecordedSession,
    name: String,
    origin: String,
    /// Time of the bins told of, gaps and all.
    all: Interval,
    binned: Binned,
}

impl Newest {
    /// All of them, to be drawn.
    pub(crate) fn view(&self, sort: Sort) -> RasterView<'_> {
        RasterView {
            name: &self.name,
            origin: &self.origin,
            top: None,
            sort,
            shown: self.all,
            all: self.all,
            zero_ns: 0,
            binned: Some(self.binned.clone()),
        }
    }
}

/// Ask for bins that last so long. What is within is an error of the raster alone: that the session is closed, or has no bins.
pub(crate) async fn ask(
    daemon: &Daemon,
    session: &v1::Session,
    duration: Duration,
) -> Result<Result<Newest, CliError>, CliError> {
    let doing = "fetching the newest spikes";
    let spec = session.spec.clone().unwrap_or_default();
    let width = BinWidth::from_us(u64::from(spec.bin_width_us))
        .map_err(|_| daemon.protocol("a session without a width of bins"))?;
    let width_ns = i64::from(spec.bin_width_us).saturating_mul(1000);
    let asked = duration.as_nanos().div_ceil(width_ns.unsigned_abs().into()).max(1);
    let request = v1::GetRecentSpikesRequest {
        session_id: session.session_id.clone(),
        bins_max: u32::try_from(asked).unwrap_or(u32::MAX),
        from_bin: 0,
    };
    let told = match daemon.inference().get_recent_spikes(request).await {
        Ok(response) => response.into_inner(),
        Err(status) if status.code() == Code::FailedPrecondition => {
            return Ok(Err(daemon.failure(doing)(status)));
        }
        Err(status) => return Err(daemon.failure(doing)(status)),
    };
    if told.runs.iter().all(|run| run.active_counts.is_empty()) {
        let (of, problem) = (format!("session {}", session.session_id), "it has no bins yet".to_owned());
        return Ok(Err(CliError::Plot { of, problem }));
    }
    let wrong = || daemon.protocol("spikes that do not fit their bins or neurons");
    let bins = told.first_bin..told.end_bin;
    let at = Clock { width_ns };
    let spikes = recorded(&neurons(&spec), &told, at).ok_or_else(wrong)?;
    let address = daemon.address();
    Ok(Ok(Newest {
        spikes,
        name: session_name(session).to_owned(),
        origin: format!("live session {} at {address}, bins of {width}", session.session_id),
        all: at.interval(&bins).ok_or_else(wrong)?,
        binned: Binned { width_ns, told: reach(&bins, asked, width, session) },
    }))
}

/// Every neuron of a session, which numbers them where nobody has named them.
fn neurons(spec: &v1::SessionSpec) -> Vec<Neuron> {
    if spec.neurons.is_empty() {
        return (0..spec.neuron_count).map(|k| Neuron { id: k.into(), label: String::new() }).collect();
    }
    spec.neurons.iter().map(|neuron| Neuron { id: neuron.id, label: neuron.label.clone() }).collect()
}

/// When bins are.
#[derive(Debug, Clone, Copy)]
struct Clock {
    width_ns: i64,
}

impl Clock {
    /// Left edge of a bin; `None` where time is no more told in nanoseconds.
    fn edge(self, bin: u64) -> Option<i64> {
        i64::try_from(bin).ok()?.checked_mul(self.width_ns)
    }

    fn interval(self, bins: &Range<u64>) -> Option<Interval> {
        Some(Interval { start_ns: self.edge(bins.start)?, stop_ns: self.edge(bins.end)? })
    }
}

/// The bins as a recording that was observed in them alone; `None` when the answer contradicts itself.
fn recorded(neurons: &[Neuron], told: &v1::GetRecentSpikesResponse, clock: Clock) -> Option<RecordedSession> {
    let mut times = vec![Vec::new(); neurons.len()];
    let mut observed: Vec<Interval> = Vec::new();
    let mut end = told.first_bin;
    for run in &told.runs {
        let bins = run.first_bin..run.first_bin.checked_add(run.active_counts.len() as u64)?;
        if bins.start < end || bins.end > told.end_bin {
            return None;
        }
        let time = clock.interval(&bins)?;
        match observed.last_mut() {
            // The edge of a trial, which hides nothing.
            Some(last) if last.stop_ns == time.start_ns => last.stop_ns = time.stop_ns,
            _ => observed.push(time),
        }
        let mut active = run.neurons.iter();
        for (bin, &count) in bins.clone().zip(&run.active_counts) {
            let middle = clock.edge(bin)?.checked_add(clock.width_ns / 2)?;
            for &neuron in active.by_ref().take(count as usize) {
                times.get_mut(neuron as usize)?.push(middle);
            }
        }
        let counted: u64 = run.active_counts.iter().map(|&count| u64::from(count)).sum();
        if counted != run.neurons.len() as u64 {
            return None;
        }
        end = bins.end;
    }
    let unit = |(neuron, spike_times_ns): (&Neuron, Vec<i64>)| RecordedUnit {
        neuron: neuron.clone(),
        spike_times_ns,
        observed: Some(observed.clone()),
    };
    let units = neurons.iter().zip(times).map(unit).collect();
    Some(RecordedSession { units, ..RecordedSession::default() })
}

/// Which bins these are, how old, and why they are no more.
fn reach(bins: &Range<u64>, asked: u128, width: BinWidth, session: &v1::Session) -> Vec<String> {
    let told = bins.end - bins.start;
    let lasting = |bins: f64| text::seconds(bins * width.seconds());
    let age = session.last_bin_age_ms.map_or_else(String::new, |age| {
        format!("; the last one had come {} before", text::seconds(age as f64 / 1000.0))
    });
    let mut lines = vec![format!(
        "Bins {} to {} of the session, the newest it had counted{age}. Time is from the left edge of bin 0.",
        text::count(bins.start),
        text::count(bins.end - 1)
    )];
    if u128::from(told) < asked {
        let why = if bins.start == 0 { "the session is no older" } else { "the daemon tells of no more" };
        lines.push(format!(
            "It reaches back {} where {} were asked for: {why}.",
            lasting(told as f64),
            lasting(asked as f64)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn run(first_bin: u64, active_counts: &[u32], neurons: &[u32]) -> v1::SpikeRun {
        v1::SpikeRun { first_bin, active_counts: active_counts.to_vec(), neurons: neurons.to_vec() }
    }

    fn told(runs: Vec<v1::SpikeRun>) -> Option<RecordedSession> {
        let spec = v1::SessionSpec { neuron_count: 2, ..Default::default() };
        let told = v1::GetRecentSpikesResponse { first_bin: 3, end_bin: 10, runs };
        recorded(&neurons(&spec), &told, Clock { width_ns: 10 * MS })
    }

    #[test]
    fn bins_become_times_and_gaps_time_that_was_not_observed() {
        let runs = vec![run(3, &[2, 0], &[0, 1]), run(5, &[1], &[1]), run(8, &[0, 1], &[0])];
        let session = told(runs).unwrap();
        assert_eq!(session.units[0].spike_times_ns, [35 * MS, 95 * MS]);
        assert_eq!(session.units[1].spike_times_ns, [35 * MS, 55 * MS]);
        let interval = |start, stop| Interval { start_ns: start * MS, stop_ns: stop * MS };
        assert_eq!(session.units[0].observed, Some(vec![interval(30, 60), interval(80, 100)]));
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_refused() {
        for runs in [
            vec![run(3, &[1], &[2])],
            vec![run(3, &[2], &[0])],
            vec![run(3, &[1], &[0, 1])],
            vec![run(2, &[0], &[])],
            vec![run(9, &[0, 0], &[])],
            vec![run(4, &[0, 0], &[]), run(5, &[0], &[])],
            vec![run(u64::MAX, &[0], &[])],
        ] {
            assert_eq!(told(runs.clone()), None, "{runs:?}");
        }
    }

    #[test]
    fn it_is_said_why_there_is_less_than_was_asked_for() {
        let width = BinWidth::from_us(10_000).unwrap();
        let session = v1::Session { last_bin_age_ms: Some(200), ..Default::default() };
        let whole = reach(&(1000..4000), 3000, width, &session);
        assert_eq!(
            whole,
            [
                "Bins 1,000 to 3,999 of the session, the newest it had counted; the last one had come 200 ms before. \
              Time is from the left edge of bin 0."
            ]
        );
        let young = reach(&(0..100), 3000, width, &session);
        assert_eq!(young[1], "It reaches back 1.0 s where 30.0 s were asked for: the session is no older.");
        let bounded = reach(&(1000..2000), 3000, width, &session);
        assert!(bounded[1].ends_with("the daemon tells of no more."), "{bounded:?}");
    }
}
