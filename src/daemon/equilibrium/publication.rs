//! The equilibrium models published last, and what is known of their fits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use super::schedule::WaitingForFit;
use crate::daemon::metrics::Durations;
use crate::daemon::score_history::SharedHistory;
use crate::model::{EquilibriumMethod, EquilibriumModel};
use crate::session::{EquilibriumTracker, ScoredEquilibrium, SessionSpec, Snapshot, best_equilibrium};

/// The equilibrium models of every window at one moment.
#[derive(Debug)]
pub(in crate::daemon) struct EquilibriumPublication {
    /// Counts these publications of the session, from 1.
    pub(in crate::daemon) sequence: u64,
    /// For each window of the specification, the models there are, in the order of the methods.
    pub(in crate::daemon) windows: Vec<Vec<Arc<ScoredEquilibrium>>>,
    pub(in crate::daemon) published_at: Instant,
}

impl EquilibriumPublication {
    /// What a method has made of a window, and the place of that window.
    pub(super) fn find(
        &self,
        window: usize,
        method: EquilibriumMethod,
    ) -> Option<(usize, &Arc<ScoredEquilibrium>)> {
        let found = self.windows.get(window)?.iter().find(|scored| scored.fitted.method == method)?;
        Some((window, found))
    }

    /// The model of one window or all with the best recent score, and the place of its window.
    pub(in crate::daemon) fn best(&self, window: Option<usize>) -> Option<(usize, &Arc<ScoredEquilibrium>)> {
        let windows = window.map_or(0..self.windows.len(), |window| window..window + 1);
        let of_window = |window: usize| self.windows[window].iter().map(move |scored| (window, scored));
        let all: Vec<_> = windows.flat_map(of_window).collect();
        let best = best_equilibrium(all.iter().map(|(_, scored)| scored.as_ref()))?;
        all.iter().copied().find(|(_, scored)| std::ptr::eq(scored.as_ref(), best))
    }

    /// Bytes of the models; those that windows share are counted for each.
    fn bytes(&self) -> u64 {
        let models = self.windows.iter().flatten().filter_map(|scored| scored.fitted.model.as_ref().ok());
        models.map(model_bytes).sum()
    }
}

fn model_bytes(model: &EquilibriumModel) -> u64 {
    let errors = model.errors.as_ref().map_or(0, |errors| errors.couplings.len() + errors.fields.len());
    // Scores and statuses are vectors of n, too.
    8 * (model.couplings.len() + errors + 8 * model.fields.len()) as u64
}

/// Put the models published last into snapshots, one per window, that are about to be.
pub(in crate::daemon) fn attach(state: &EquilibriumState, snapshots: &mut [Snapshot]) {
    if let Some(latest) = state.latest() {
        for (snapshot, models) in snapshots.iter_mut().zip(&latest.windows) {
            snapshot.equilibrium.clone_from(models);
        }
    }
}

/// What everyone but the engine knows of the equilibrium models of a session.
#[derive(Debug)]
pub(in crate::daemon) struct EquilibriumState {
    pub(in crate::daemon) counters: FitCounters,
    tracker: Mutex<EquilibriumTracker>,
    latest: Mutex<Option<Arc<EquilibriumPublication>>>,
    /// The scores of what was published.
    pub(in crate::daemon) history: SharedHistory,
    methods: Vec<EquilibriumMethod>,
    /// The session is ending: a fit under way is not to go on with its next model, and none but the last is to begin.
    ending: AtomicBool,
    /// Held by the fit that is at work: one of a session, though another may wait for its turn.
    work: Mutex<()>,
    /// Who waited for a fit that was cut short; `None` once everyone has been told.
    waiting: Mutex<Option<Vec<WaitingForFit>>>,
}

/// Numbers that everyone reads.
#[derive(Debug, Default)]
pub(in crate::daemon) struct FitCounters {
    /// How long fits took to compute.
    pub(in crate::daemon) fits: Durations,
    /// Fits that were late when they were due.
    pub(in crate::daemon) skipped: AtomicU64,
    /// Whether a fit is under way or waits for its turn.
    pub(in crate::daemon) running: AtomicBool,
}

/// Every change under these locks is complete before anything can panic, but for the tracker's, which is made anew then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EquilibriumState {
    pub(in crate::daemon) fn new(spec: &Arc<SessionSpec>) -> Self {
        Self {
            counters: FitCounters::default(),
            tracker: Mutex::new(EquilibriumTracker::new(Arc::clone(spec))),
            latest: Mutex::default(),
            history: SharedHistory::default(),
            methods: spec.equilibrium.methods.clone(),
            ending: AtomicBool::new(false),
            work: Mutex::default(),
            waiting: Mutex::new(Some(Vec::new())),
        }
    }

    /// The tracker; used by one fit at a time, which holds it only to score and between models.
    pub(in crate::daemon) fn tracker(&self) -> MutexGuard<'_, EquilibriumTracker> {
        lock(&self.tracker)
    }

    /// Begin to track anew: models and scores that are not published are gone.
    pub(in crate::daemon) fn reset_tracker(&self, spec: &Arc<SessionSpec>) {
        *self.tracker() = EquilibriumTracker::new(Arc::clone(spec));
    }

    /// Publish the models of the tracker, if it has any.
    pub(super) fn publish(&self) -> Option<Arc<EquilibriumPublication>> {
        let windows = self.tracker().models();
        if windows.iter().all(Vec::is_empty) {
            return None;
        }
        let mut latest = lock(&self.latest);
        let sequence = latest.as_ref().map_or(0, |latest| latest.sequence) + 1;
        let new = Arc::new(EquilibriumPublication { sequence, windows, published_at: Instant::now() });
        *latest = Some(Arc::clone(&new));
        self.history.add_models(&self.methods, &new.windows);
        Some(new)
    }

    pub(in crate::daemon) fn latest(&self) -> Option<Arc<EquilibriumPublication>> {
        lock(&self.latest).clone()
    }

    /// Publications so far.
    pub(in crate::daemon) fn count(&self) -> u64 {
        self.latest().map_or(0, |latest| latest.sequence)
    }

    /// Bytes of what is published.
    pub(in crate::daemon) fn bytes(&self) -> u64 {
        self.latest().map_or(0, |latest| latest.bytes())
    }

    /// Wait until no fit is at work, and be the one that is until the answer is dropped.
    pub(super) fn begin_work(&self) -> MutexGuard<'_, ()> {
        lock(&self.work)
    }

    /// Be the fit that is at work until the answer is dropped, unless another one is.
    pub(super) fn try_begin_work(&self) -> Option<MutexGuard<'_, ()>> {
        match self.work.try_lock() {
            Ok(working) => Some(working),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Let a fit under way end after the model it is at, and begin no other but the last.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Tell these at the end; at once, by the lack of an answer, when that is past.
    pub(super) fn keep_waiting(&self, waiting: Vec<WaitingForFit>) {
        if let Some(kept) = lock(&self.waiting).as_mut() {
            kept.extend(waiting);
        }
    }

    /// Tell who waits, at the end, what is published; whoever is not told learns that nothing is.
    pub(in crate::daemon) fn tell(&self, waiting: impl IntoIterator<Item = WaitingForFit>) {
        let cut_short = lock(&self.waiting).take().unwrap_or_default();
        let Some(latest) = self.latest() else { return };
        for waiting in waiting.into_iter().chain(cut_short) {
            // Whoever has stopped waiting needs no answer.
            drop(waiting.send(Arc::clone(&latest)));
        }
    }
}
