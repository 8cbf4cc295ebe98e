//! One refresh as the daemon makes it, on one thread.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use glauber::kinetic;
use glauber::model::{Estimator, TapForm};
use glauber::session::{Session, SessionSpec, Tracker};

use super::bins;

/// Seconds.
pub(crate) struct Times {
    /// Of naive mean field alone.
    pub(crate) estimate_s: f64,
    /// Of scoring new bins and estimating anew.
    pub(crate) refresh_s: f64,
}

/// New bins at each refresh.
const NEWEST: usize = 1000;
const RIDGE: f64 = 0.1;

/// Measure once, which is enough where it takes seconds.
pub(crate) fn measure(n: usize) -> Result<Times, String> {
    let spec = SessionSpec {
        estimators: vec![Estimator::Nmf, Estimator::Tap(TapForm::Preprint), Estimator::ExactMeanField],
        ..bins::session(n, &["all"])
    };
    let mut session = Session::new(spec.clone()).map_err(|error| error.to_string())?;
    let mut tracker = Tracker::new(Arc::new(spec), Tracker::LIVE_WORK_MAX);
    // Enough for every row to have an estimate before anything is timed.
    let spikes = bins::sparse(n, n.div_ceil(100), 4 * n.max(NEWEST) + NEWEST, 2);
    let mut through = 0;
    let mut times = Times { estimate_s: 0.0, refresh_s: 0.0 };
    for part in [0..spikes.n_bins() - NEWEST, spikes.n_bins() - NEWEST..spikes.n_bins()] {
        session.push(&spikes.slice(part.start, part.end), &mut |_| {}).map_err(|error| error.to_string())?;
        let windows = vec![session.window_counts(0)];
        let newest = session.newest_bins(through);
        through = session.next_bin();
        let counts = Arc::clone(&windows[0].counts);
        let began = Instant::now();
        tracker.observe(&windows, &newest.bins.runs(), &newest.trials);
        let snapshots = tracker.publish(windows, None);
        times.refresh_s = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let alone = black_box(kinetic::estimate(&counts, &[Estimator::Nmf], RIDGE));
        times.estimate_s = began.elapsed().as_secs_f64();
        let published = &snapshots[0].estimates[0].estimate;
        if published.couplings != alone[0].couplings || !published.couplings.iter().all(|j| j.is_finite()) {
            return Err("what was published is not the estimate of its counts".to_owned());
        }
    }
    Ok(times)
}
