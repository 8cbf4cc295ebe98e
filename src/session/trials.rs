use std::collections::BTreeMap;
use std::ops::Range;

use super::{PushError, Session};
use crate::model::{Trial, TrialMark};

/// The trials of a session, by their first bin.
///
/// Holds what was declared; a trial without a last bin ends where the next one starts. What the table gives depends on the marks
/// and on how many bins there are, not on the order of either.
#[derive(Debug, Default)]
pub(super) struct TrialTable {
    /// First bin to declared bin after the last one.
    declared: BTreeMap<u64, Option<u64>>,
}

impl TrialTable {
    pub(super) fn bytes(&self) -> usize {
        self.declared.len() * size_of::<(u64, Option<u64>)>()
    }

    /// Whether the mark says nothing new.
    pub(super) fn holds(&self, mark: &TrialMark) -> bool {
        let declared = self.declared.get(&mark.start_bin);
        declared.is_some_and(|stop| mark.stop_bin.is_none() || mark.stop_bin == *stop)
    }

    /// Whether a trial was declared to start there.
    pub(super) fn starts_at(&self, bin: u64) -> bool {
        self.declared.contains_key(&bin)
    }

    /// Whether the marks agree with each other and with those before.
    pub(super) fn check(&self, marks: &[TrialMark]) -> Result<(), PushError> {
        let mut sorted = marks.to_vec();
        sorted.sort_unstable();
        for &TrialMark { start_bin, stop_bin } in &sorted {
            if let Some(stop_bin) = stop_bin.filter(|&stop| stop <= start_bin) {
                return Err(PushError::TrialBounds { start_bin, stop_bin });
            }
        }
        // In order of their starts, a trial that overlaps any overlaps its neighbour.
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].contradicts(&pair[1])) {
            return Err(PushError::TrialOverlap { mark: pair[1], other: pair[0] });
        }
        for mark in sorted {
            let known = |(&start_bin, &stop_bin): (&u64, &Option<u64>)| TrialMark { start_bin, stop_bin };
            let before = self.declared.range(..=mark.start_bin).next_back();
            let after = self.declared.range(mark.start_bin.saturating_add(1)..).next();
            if let Some(other) = before.into_iter().chain(after).map(known).find(|k| k.contradicts(&mark)) {
                return Err(PushError::TrialOverlap { mark, other });
            }
        }
        Ok(())
    }

    /// Remember marks that were checked. When the table is full, the oldest trials are forgotten.
    pub(super) fn insert(&mut self, marks: &[TrialMark]) {
        for &TrialMark { start_bin, stop_bin } in marks {
            // The end of a trial may be told later than its start, and is not untold by hearing of the start again.
            let declared = self.declared.entry(start_bin).or_insert(None);
            *declared = stop_bin.or(*declared);
        }
        while self.declared.len() > Session::TRIALS_MAX {
            self.declared.pop_first();
        }
    }

    /// Forget the trials that ended by `bin`.
    pub(super) fn forget_before(&mut self, bin: u64) {
        loop {
            let Some(first) = self.complete(0..bin).next() else { return };
            self.declared.remove(&first.start_bin);
        }
    }

    /// Trials that have a bin in `bins`, in order; the last one may be going on, without an end.
    pub(super) fn touching(&self, bins: Range<u64>) -> impl Iterator<Item = Trial> + '_ {
        let before = self.declared.range(..=bins.start).next_back().map_or(bins.start, |(&start, _)| start);
        self.declared
            .range(before..bins.end.max(before))
            .map(|(&start_bin, &declared)| {
                let next = self.declared.range(start_bin + 1..).next().map(|(&start, _)| start);
                Trial { start_bin, stop_bin: declared.or(next).unwrap_or(u64::MAX) }
            })
            .filter(move |trial| trial.stop_bin > bins.start)
    }

    /// Trials whose end is known, wholly inside `bins`, in order.
    pub(super) fn complete(&self, bins: Range<u64>) -> impl Iterator<Item = Trial> + '_ {
        let starts = self.declared.range(bins.start..bins.end.max(bins.start));
        starts
            .filter_map(|(&start_bin, &declared)| {
                let next = || self.declared.range(start_bin + 1..).next().map(|(&start, _)| start);
                Some(Trial { start_bin, stop_bin: declared.or_else(next)? })
            })
            .filter(move |trial| trial.stop_bin <= bins.end)
    }
}
