//! What the counts must be: a session that was never interrupted.

use glauber::model::{BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, SpikeBlock, TrialMark};
use glauber::session::{EquilibriumSpec, Marks, Session, SessionSpec, WindowCounts};

use crate::rig::{Message, Story};

/// Counts everything a rig would have sent, message by message of its own making.
pub(crate) struct Oracle {
    session: Session,
}

/// Windows of every session: so short that bins leave them all the time.
pub(crate) const WINDOWS: [&str; 2] = ["all", "400ms"];
pub(crate) const LAGS: [u32; 2] = [1, 3];

impl Oracle {
    pub(crate) fn new(story: &Story) -> Self {
        let spec = SessionSpec {
            name: String::new(),
            metadata: SessionMetadata::default(),
            neurons: (0..story.n_neurons as i64).map(|id| Neuron { id, label: String::new() }).collect(),
            bin_width: BinWidth::from_us(1000).expect("a width"),
            origin_ns: 0,
            windows: WINDOWS.map(|window| window.parse().expect("a window")).to_vec(),
            lags: Lags::new(&LAGS).expect("lags"),
            estimators: vec![Estimator::Nmf],
            ridges: Ridges::new(&[0.1]).expect("a ridge"),
            refresh_interval_bins: 1_000_000,
            refit_interval_bins: 1_000_000,
            refit_bins_max: 64,
            score_memory_bins: 1000,
            equilibrium: EquilibriumSpec {
                methods: Vec::new(),
                interval_bins: 1_000_000,
                bins_max: 64,
                seed: 1,
            },
        };
        Self { session: Session::new(spec).expect("a session") }
    }

    /// Count everything before a bin, which must be one up to which a message could have gone.
    pub(crate) fn advance(&mut self, story: &Story, end_bin: u64) {
        assert!(end_bin >= self.session.next_bin(), "bins that were durable are gone");
        while self.session.next_bin() < end_bin {
            let Message { block, trial_edges, trials } = story.message(self.session.next_bin(), end_bin, 37);
            self.push(&block, &trial_edges, &trials);
        }
        assert_eq!(self.session.next_bin(), end_bin, "the daemon stopped where no message ends");
    }

    fn push(&mut self, block: &SpikeBlock, trial_edges: &[u64], trials: &[TrialMark]) {
        let marks = Marks { trial_edges, trials };
        self.session.push_with_marks(block, marks, &mut |_| {}).expect("bins that fit");
    }

    pub(crate) fn counts(&mut self, window: usize) -> WindowCounts {
        self.session.window_counts(window)
    }

    pub(crate) fn gaps(&self) -> (u64, u64) {
        self.session.gaps()
    }
}
