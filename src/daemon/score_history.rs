//! How scores have come about: the recent score of successive publications, in bounded memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::convert::estimator_to_proto;
use super::equilibrium::method_to_proto;
use super::handle::SessionHandle;
use crate::proto::v1;
use crate::proto::v1::score_series::Model;
use crate::session::{ScoredEquilibrium, ScoredEstimate, Snapshot};

/// Most points that are kept of a history, besides the newest.
pub(super) const POINTS_MAX: usize = 1024;

/// What was published of one window by one estimator or method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    bits_per_spike: f64,
    ridge: f64,
}

/// The scores of successive publications, in columns that stay the same. When there are too many points every second one is forgotten, and
/// from then on half as many are kept: they always reach from the first publication to the newest.
#[derive(Debug)]
pub(super) struct ScoreHistory {
    points: Vec<Point>,
    /// The newest, whether it is among the points or not.
    newest: Option<Point>,
    /// Of so many publications one is kept.
    stride: u64,
    publications: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Point {
    end_bin: u64,
    /// `None` before anything was scored.
    columns: Vec<Option<Scored>>,
}

impl Default for ScoreHistory {
    fn default() -> Self {
        Self { points: Vec::new(), newest: None, stride: 1, publications: 0 }
    }
}

impl ScoreHistory {
    /// Add what was published on the bins before `end_bin`. A later publication on the same bins replaces the one before; one on
    /// earlier bins is too late.
    fn add(&mut self, end_bin: u64, columns: Vec<Option<Scored>>) {
        let before = self.newest.as_ref().map(|point| point.end_bin);
        if before.is_some_and(|before| before > end_bin) {
            return;
        }
        let point = Point { end_bin, columns };
        self.newest = Some(point.clone());
        if before == Some(end_bin) {
            if let Some(last) = self.points.last_mut().filter(|last| last.end_bin == end_bin) {
                *last = point;
            }
            return;
        }
        if self.publications.is_multiple_of(self.stride) {
            self.points.push(point);
        }
        self.publications += 1;
        if self.points.len() > POINTS_MAX {
            let mut place = 0;
            self.points.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.stride *= 2;
        }
    }

    /// The points of a column at which it was scored.
    fn column(&self, column: usize) -> impl Iterator<Item = (u64, Scored)> {
        let last = self.points.last().map(|point| point.end_bin);
        let newest = self.newest.iter().filter(move |point| Some(point.end_bin) != last);
        self.points
            .iter()
            .chain(newest)
            .filter_map(move |point| Some((point.end_bin, (*point.columns.get(column)?)?)))
    }

    fn bytes(&self) -> usize {
        let points = self.points.iter().chain(&self.newest);
        points.map(|point| size_of::<Point>() + size_of_val(point.columns.as_slice())).sum()
    }
}

/// A history that one thread adds to and others read.
#[derive(Debug, Default)]
pub(super) struct SharedHistory(Mutex<ScoreHistory>);

impl SharedHistory {
    fn lock(&self) -> MutexGuard<'_, ScoreHistory> {
        // Losing a point is the worst that a panic could do.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Add the scores of estimates that were published, one snapshot per window.
    pub(super) fn add_estimates<S: AsRef<Snapshot>>(&self, snapshots: &[S]) {
        let Some(end_bin) = snapshots.first().map(|snapshot| snapshot.as_ref().window.end_bin) else {
            return;
        };
        let scored = |scored: &ScoredEstimate| {
            let bits_per_spike = scored.score.recent.bits_per_spike()?;
            Some(Scored { bits_per_spike, ridge: scored.estimate.ridge })
        };
        let of_window = |snapshot: &Snapshot| -> Vec<_> {
            let find =
                |&estimator| snapshot.estimates.iter().find(|found| found.estimate.estimator == estimator);
            snapshot.spec.estimators.iter().map(|estimator| find(estimator).and_then(scored)).collect()
        };
        self.lock()
            .add(end_bin, snapshots.iter().flat_map(|snapshot| of_window(snapshot.as_ref())).collect());
    }

    /// Add the scores of equilibrium models that were published: of each window, one for each of so many methods, as far as there are.
    pub(super) fn add_models<M: AsRef<ScoredEquilibrium>>(
        &self,
        methods: &[crate::model::EquilibriumMethod],
        windows: &[Vec<M>],
    ) {
        let all = windows.iter().flatten().map(AsRef::as_ref);
        let Some(end_bin) = all.map(|scored| scored.fitted.end_bin).max() else { return };
        let columns = windows.iter().flat_map(|models| {
            methods.iter().map(|&method| {
                let found = models.iter().map(AsRef::as_ref).find(|scored| scored.fitted.method == method)?;
                Some(Scored { bits_per_spike: found.score.recent.bits_per_spike()?, ridge: 0.0 })
            })
        });
        self.lock().add(end_bin, columns.collect());
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes() as u64
    }

    fn series(&self, models: &[(String, Model)]) -> Vec<v1::ScoreSeries> {
        let history = self.lock();
        let series = models.iter().enumerate().filter_map(|(column, (window, model))| {
            let mut series =
                v1::ScoreSeries { model: Some(*model), window: window.clone(), ..Default::default() };
            for (end_bin, scored) in history.column(column) {
                series.end_bins.push(end_bin);
                series.bits_per_spike.push(scored.bits_per_spike);
                series.ridge.push(scored.ridge);
            }
            (!series.end_bins.is_empty()).then_some(series)
        });
        series.collect()
    }
}

/// The history of a session in the words of the interface.
pub(super) fn score_history(session: &SessionHandle) -> v1::GetScoreHistoryResponse {
    let spec = &session.spec;
    let each = |models: Vec<Model>| -> Vec<(String, Model)> {
        let of_window =
            |window: String| models.iter().map(move |&model| (window.clone(), model)).collect::<Vec<_>>();
        spec.windows.iter().flat_map(|window| of_window(window.to_string())).collect()
    };
    let estimators =
        spec.estimators.iter().map(|&estimator| Model::Estimator(estimator_to_proto(estimator).into()));
    let methods =
        spec.equilibrium.methods.iter().map(|&method| Model::Method(method_to_proto(method).into()));
    let mut series = session.publisher.history.series(&each(estimators.collect()));
    series.extend(session.equilibrium.history.series(&each(methods.collect())));
    v1::GetScoreHistoryResponse { series, points_max: POINTS_MAX as u32 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(bits_per_spike: f64) -> Vec<Option<Scored>> {
        vec![None, Some(Scored { bits_per_spike, ridge: 0.1 })]
    }

    #[test]
    fn a_long_history_is_thinned_and_keeps_both_ends() {
        let mut history = ScoreHistory::default();
        for k in 0..5000 {
            history.add(100 * k, column(k as f64));
        }
        let bins: Vec<u64> = history.column(1).map(|(bin, _)| bin).collect();
        assert!(bins.len() <= POINTS_MAX + 1 && bins.len() > POINTS_MAX / 2, "{}", bins.len());
        assert_eq!((bins[0], bins[1], bins.last()), (0, 800, Some(&499_900)));
        assert!(bins.windows(2).all(|two| two[0] < two[1]));
        assert!(history.column(1).all(|(bin, scored)| scored.bits_per_spike == bin as f64 / 100.0));
        assert_eq!(history.column(0).count(), 0, "never scored");
        assert!(history.bytes() < 200_000);
    }

    #[test]
    fn a_publication_on_the_same_bins_replaces_and_an_earlier_one_is_too_late() {
        let mut history = ScoreHistory::default();
        history.add(100, column(1.0));
        history.add(100, column(2.0));
        history.add(50, column(3.0));
        let all: Vec<_> = history.column(1).map(|(bin, scored)| (bin, scored.bits_per_spike)).collect();
        assert_eq!(all, [(100, 2.0)]);
    }
}
