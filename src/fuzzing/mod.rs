//! What a fuzzer throws at the daemon: each function takes any bytes and panics when something does what it must not.
//!
//! Built under `cfg(fuzzing)`, where `fuzz/` runs them for as long as one likes, and for the tests, which run them over the seeds in
//! `fuzz/seeds/`. No part of the library otherwise.

mod columns;
mod config;
mod counting;
mod files;
#[cfg(test)]
mod seeds;

use arbitrary::Unstructured;

pub use columns::columns;
pub use config::config;
pub use counting::counting;
pub use files::{recording, snapshot};

use crate::daemon::fuzzing::check_request;
use crate::journal::Record;
use crate::journal::fuzzing::check_value;
use crate::model::NEURONS_MAX;

/// Requests as they come off the wire: a byte that says which, then the message.
///
/// # Panics
/// When a request does what none may.
pub fn proto(input: &[u8]) {
    check_request(input);
}

/// A value of the journal: the number of neurons in two bytes, then the value. What it decodes to is counted, as at a start after a crash.
///
/// # Panics
/// When a record does not come back as it was, or cannot be counted.
pub fn journal(input: &[u8]) {
    let Some((n_neurons, value)) = input.split_first_chunk::<2>() else { return };
    let n_neurons = usize::from(u16::from_le_bytes(*n_neurons)).clamp(1, NEURONS_MAX);
    let records = check_value(value, n_neurons);
    // Counting many neurons takes more time than it finds.
    if n_neurons > 128 {
        return;
    }
    let mut session = counting::session(n_neurons, &[1, 3], vec![100]);
    for record in records {
        // What a daemon would not have written is refused, as at its first time.
        let refused = match record {
            Record::Bins { block, trial_edges, trials, .. } => {
                let marks = crate::session::Marks { trial_edges: &trial_edges, trials: &trials };
                session.push_with_marks(&block, marks, &mut |_| ()).is_err()
            }
            Record::Trial(mark) => session.mark_trial(mark.start_bin, mark.stop_bin).is_err(),
            Record::ProducerEpoch(_) | Record::LostSpikes(_) => false,
        };
        if refused {
            return;
        }
    }
}

/// A number from 0 to `max`; 0 once the input is used up.
fn up_to<T: arbitrary::unstructured::Int>(input: &mut Unstructured<'_>, max: T) -> T {
    input.int_in_range(T::ZERO..=max).unwrap_or(T::ZERO)
}
