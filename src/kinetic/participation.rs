use std::collections::HashMap;

use crate::model::RowStatus;
use crate::moments::Counts;

/// Which neurons take part in the inversion, and why the others do not.
pub(super) struct Participation {
    /// Indices of the neurons that take part, increasing.
    pub(super) active: Vec<usize>,
    /// [`RowStatus::Ok`] for those, the reason for the others.
    pub(super) status: Vec<RowStatus>,
}

impl Participation {
    /// Silent, saturated and repeated neurons make the correlation matrix singular; they are told from the exact counts.
    pub(super) fn of(counts: &Counts) -> Self {
        let lag = &counts.lags[0];
        let total = lag.transitions;
        // Neurons with equal counts are the only ones that can be duplicates.
        let mut same_count: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut status_of = |i: usize| {
            let (sends, receives) = (lag.sender[i], lag.receiver[i]);
            if total == 0 {
                return RowStatus::Undersampled;
            }
            if sends == 0 || receives == 0 {
                return RowStatus::Silent;
            }
            if sends == total || receives == total {
                return RowStatus::Saturated;
            }
            let alike = same_count.entry(sends).or_default();
            if alike.iter().any(|&first| counts.equal_time(first, i) == sends) {
                return RowStatus::Duplicate;
            }
            alike.push(i);
            RowStatus::Ok
        };
        let status: Vec<RowStatus> = (0..counts.n_neurons).map(&mut status_of).collect();
        let active = (0..counts.n_neurons).filter(|&i| status[i] == RowStatus::Ok).collect();
        Self { active, status }
    }
}
