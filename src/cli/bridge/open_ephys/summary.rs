//! What there was, at the end.

use glauber::proto::v1;
use serde_json::json;

use super::relay::Relay;
use crate::cli::error::CliError;
use crate::cli::{Manner, output, text};

/// Unknown units named at the end.
const UNITS_NAMED: usize = 10;

/// What there was.
pub(super) struct Summary<'a> {
    pub(super) relay: &'a Relay,
    /// Id of the session, if there was one.
    pub(super) session_id: Option<&'a str>,
    /// What the daemon says of it, if it can be asked.
    pub(super) session: Option<&'a v1::Session>,
    pub(super) is_closed: bool,
    /// How to reach the same daemon again.
    pub(super) again: String,
}

impl Summary<'_> {
    /// Print it on stdout.
    pub(super) fn print(&self, manner: Manner) -> Result<(), CliError> {
        if manner.json {
            return output::print(format_args!("{}\n", self.to_json()));
        }
        let mut facts = self.outcome();
        facts.extend(self.left_out());
        if let Some(id) = self.session_id {
            facts.push(("next", format!("glauber couplings --session {id}{}", self.again)));
            if !self.is_closed {
                facts.push(("", format!("glauber close {id}{}", self.again)));
            }
        }
        output::print_facts(&facts)
    }

    /// Spikes left out as not sorted, and units that were not known, with their spikes.
    fn strangers(&self) -> (u64, Vec<String>, u64) {
        let Some(roster) = self.relay.roster() else { return (0, Vec::new(), 0) };
        let unknown = roster.unknown();
        (roster.unsorted(), unknown.keys().map(ToString::to_string).collect(), unknown.values().sum())
    }

    fn to_json(&self) -> serde_json::Value {
        let counts = self.relay.tracker().counts();
        let (forwarded, malformed) = self.relay.passed();
        let (after_end, waiting) = self.relay.held_back();
        let (unsorted, unknown_units, unknown_spikes) = self.strangers();
        json!({
            "event": "summary", "session_id": self.session_id, "closed": self.is_closed,
            "bins": self.session.and_then(|session| session.watermarks).map(|marks| marks.applied_through),
            "messages": counts.messages, "spikes": counts.spikes, "forwarded": forwarded,
            "unsorted": unsorted, "unknown_spikes": unknown_spikes, "unknown_units": unknown_units,
            "before_start": counts.before_start, "implausible": counts.implausible,
            "after_end": after_end, "waiting": waiting, "malformed": malformed, "duplicates": counts.duplicates,
            "other_streams": counts.other_streams, "losses": counts.losses,
            "lost_messages": counts.lost_messages, "restarts": counts.restarts,
            "unobserved_s": counts.unobserved_ns as f64 / 1e9,
            "late": self.session.map(|session| session.late_spikes),
            "merged": self.session.map(|session| session.merged_spikes),
            "masked": self.session.map(|session| session.masked_spikes),
        })
    }

    fn outcome(&self) -> Vec<(&'static str, String)> {
        let counts = self.relay.tracker().counts();
        let session = match self.session_id {
            Some(id) => format!("{id}, {}", if self.is_closed { "closed" } else { "still open" }),
            None => "none was opened: the neurons were not known yet".to_owned(),
        };
        let received = format!(
            "{} in {}",
            text::counted(counts.spikes, "spike"),
            text::counted(counts.messages, "message")
        );
        let forwarded = text::counted(self.relay.passed().0, "spike");
        vec![("session", session), ("received", received), ("forwarded", forwarded)]
    }

    /// What was not forwarded, not heard or not counted, as far as there is any.
    fn left_out(&self) -> Vec<(&'static str, String)> {
        let counts = self.relay.tracker().counts();
        let (unsorted, mut units, unknown) = self.strangers();
        let more = units.len().saturating_sub(UNITS_NAMED);
        units.truncate(UNITS_NAMED);
        if more > 0 {
            units.push(format!("{more} more"));
        }
        let (after_end, waiting) = self.relay.held_back();
        let (late, merged, masked) = self
            .session
            .map_or((0, 0, 0), |session| (session.late_spikes, session.merged_spikes, session.masked_spikes));
        let spikes = |count| text::counted(count, "spike");
        let gaps = format!(
            "{} left out: {} lost in {}, {}",
            text::seconds(counts.unobserved_ns as f64 / 1e9),
            text::counted(counts.lost_messages, "message"),
            text::counted(counts.losses, "place"),
            text::counted(counts.restarts, "restart"),
        );
        let gap_count = counts.losses + counts.restarts + u64::from(counts.unobserved_ns > 0);
        let malformed = self.relay.passed().1;
        let lines = [
            ("unsorted", unsorted, format!("{} left out", spikes(unsorted))),
            (
                "unknown",
                unknown,
                format!("{} of units that are no neurons: {}", spikes(unknown), units.join(", ")),
            ),
            (
                "early",
                counts.before_start,
                format!(
                    "{} before the session or an acquisition was heard in full",
                    spikes(counts.before_start)
                ),
            ),
            (
                "absurd",
                counts.implausible,
                format!("{} at times far from the data around them, left out", spikes(counts.implausible)),
            ),
            ("after", after_end, format!("{} after the end", spikes(after_end))),
            ("waiting", waiting, format!("{} still waited for what comes next", spikes(waiting))),
            ("late", late, format!("{} after their bin was complete, left out", spikes(late))),
            ("merged", merged, format!("{} of a neuron that had fired in their bin already", spikes(merged))),
            ("masked", masked, format!("{} in bins that are left out", spikes(masked))),
            ("gaps", gap_count, gaps),
            ("malformed", malformed, text::counted(malformed, "message")),
            ("duplicates", counts.duplicates, text::counted(counts.duplicates, "message")),
        ];
        lines.into_iter().filter(|(_, count, _)| *count > 0).map(|(name, _, line)| (name, line)).collect()
    }
}
