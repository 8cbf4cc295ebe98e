//! Which blocks are still inside the window?
//!
//! The ring holds the newest bins of a session as chunks of at most [`CHUNK_BINS`] bins that never span a gap or a trial
//! edge. Whole chunks leave when every window has passed them. A chunk is stored as lists of active neurons or as one
//! bit per neuron, whichever is smaller, so that memory has a bound that depends on neither rate nor behaviour:
//! [`Ring::bytes_max`].

mod chunk;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::model::{Runs, SpikeBlock};
use chunk::Chunk;

/// Most bins per chunk.
pub const CHUNK_BINS: usize = 1024;

/// Entries past which a view's run goes on as another: a [`SpikeBlock`] counts its entries with 32 bits.
const RUN_ENTRIES_MAX: usize = 1 << 31;

/// The newest bins of a session, oldest first.
#[derive(Debug)]
pub struct Ring {
    n_neurons: usize,
    sealed: VecDeque<Arc<Chunk>>,
    sealed_bytes: usize,
    /// The newest chunk, still growing.
    open: SpikeBlock,
    open_starts_run: bool,
}

/// Bins of the ring as they stood at one moment: chunks are shared, not copied, so that it is cheap to take and can be unpacked
/// on another thread.
#[derive(Debug, Clone)]
pub struct RingView {
    n_neurons: usize,
    range: Range<u64>,
    sealed: Vec<Arc<Chunk>>,
    open: SpikeBlock,
    open_starts_run: bool,
}

/// Some bins of one run (a stretch without gap or trial edge) with the bins of the run that follow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPart {
    /// The bins asked for, then the context.
    pub bins: SpikeBlock,
    /// How many of them were asked for.
    pub n_asked: usize,
}

impl Ring {
    /// An empty ring.
    #[must_use]
    pub fn new(n_neurons: usize) -> Self {
        Self {
            n_neurons,
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            open: SpikeBlock::empty(0),
            open_starts_run: true,
        }
    }

    /// Append the bins `bins` (0-based inside `block`), which follow everything held. `starts_run` says that no transition leads from
    /// what is held to them.
    pub fn append(&mut self, block: &SpikeBlock, bins: Range<usize>, starts_run: bool) {
        let first_bin = block.first_bin() + bins.start as u64;
        debug_assert!(starts_run || self.open.n_bins() == 0 || self.open.end_bin() == first_bin);
        let mut starts_run = starts_run;
        let mut from = bins.start;
        while from < bins.end {
            if starts_run || self.open.n_bins() == CHUNK_BINS {
                self.seal();
                self.open = SpikeBlock::empty(block.first_bin() + from as u64);
                self.open_starts_run = starts_run;
                starts_run = false;
            }
            let to = bins.end.min(from + CHUNK_BINS - self.open.n_bins());
            self.open.extend_from(block, from, to);
            from = to;
        }
    }

    /// The newest bins of the newest run, without copying: when all bins from `bin` on lie in one piece, with as many bins of their
    /// run before them as there are up to `context_bins`, that piece, in which `bin` may not be the first.
    #[must_use]
    pub fn newest(&self, bin: u64, context_bins: usize) -> Option<&SpikeBlock> {
        let open_first = self.open.first_bin();
        let has_context = self.open_starts_run || open_first + context_bins as u64 <= bin;
        (open_first <= bin && has_context).then_some(&self.open)
    }

    fn seal(&mut self) {
        if self.open.n_bins() > 0 {
            let block = std::mem::replace(&mut self.open, SpikeBlock::empty(0));
            let chunk = Chunk::new(block, self.open_starts_run, self.n_neurons);
            self.sealed_bytes += chunk.bytes();
            self.sealed.push_back(Arc::new(chunk));
        }
    }

    /// Forget the chunks that lie wholly before `bin`.
    pub fn forget_before(&mut self, bin: u64) {
        while let Some(chunk) = self.sealed.front().filter(|chunk| chunk.end_bin() <= bin) {
            self.sealed_bytes -= chunk.bytes();
            self.sealed.pop_front();
        }
    }

    /// The bins of `range` that are held, run by run, each with up to `context_bins` bins of its run after it.
    #[must_use]
    pub fn run_parts(&self, range: Range<u64>, context_bins: usize) -> Vec<RunPart> {
        let reach = range.end + context_bins as u64;
        let open = (&self.open, self.open_starts_run);
        // Whole however many entries: what is added by parts is retracted by the same.
        run_parts(self.sealed_within(range.start, reach), open, &range, reach, usize::MAX)
    }

    /// The bins of `range` that are held, to be unpacked later. Copies at most one chunk.
    #[must_use]
    pub fn view(&self, range: Range<u64>) -> RingView {
        let sealed = self.sealed_within(range.start, range.end).cloned().collect();
        let (open, open_starts_run) = (self.open.clone(), self.open_starts_run);
        RingView { n_neurons: self.n_neurons, range, sealed, open, open_starts_run }
    }

    fn sealed_within(&self, start: u64, end: u64) -> impl Iterator<Item = &Arc<Chunk>> {
        let first = self.sealed.partition_point(|chunk| chunk.end_bin() <= start);
        self.sealed.iter().skip(first).take_while(move |chunk| chunk.first_bin() < end)
    }

    /// First bin held, `None` when empty.
    #[must_use]
    pub fn first_bin(&self) -> Option<u64> {
        let open = (self.open.n_bins() > 0).then(|| self.open.first_bin());
        self.sealed.front().map(|chunk| chunk.first_bin()).or(open)
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sealed_bytes + self.open.bytes()
    }

    /// Most bytes a ring of `n_bins` bins can take, whatever the neurons do, and were every bin a run of its own.
    #[must_use]
    pub fn bytes_max(n_neurons: usize, n_bins: u64) -> u64 {
        let bytes_per_bin = (n_neurons.div_ceil(64) * 8 + Chunk::OVERHEAD_BYTES) as u64;
        let open_chunk = (CHUNK_BINS * (n_neurons * 2 + 4)) as u64;
        (n_bins + CHUNK_BINS as u64).saturating_mul(bytes_per_bin).saturating_add(open_chunk)
    }
}

impl RingView {
    /// The bins asked for, of which some may lie in gaps.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The bins, run by run. Cost and memory O(bins + spikes).
    ///
    /// A run of more than 2³¹ active entries is cut in two between chunks, which loses the one transition across the cut.
    #[must_use]
    pub fn runs(&self) -> Runs {
        self.runs_of(RUN_ENTRIES_MAX)
    }

    fn runs_of(&self, entries_max: usize) -> Runs {
        let open = (&self.open, self.open_starts_run);
        let parts = run_parts(self.sealed.iter(), open, &self.range, self.range.end, entries_max);
        Runs { n_neurons: self.n_neurons, blocks: parts.into_iter().map(|part| part.bins).collect() }
    }
}

fn run_parts<'a>(
    sealed: impl Iterator<Item = &'a Arc<Chunk>>,
    (open, open_starts_run): (&SpikeBlock, bool),
    range: &Range<u64>,
    reach: u64,
    entries_max: usize,
) -> Vec<RunPart> {
    let mut parts: Vec<RunPart> = Vec::new();
    let mut extend = |chunk: &SpikeBlock, starts_run: bool| {
        let room = |part: &RunPart| part.bins.n_active().saturating_add(chunk.n_active()) <= entries_max;
        let starts_run = starts_run || !parts.last().is_some_and(room);
        extend_parts(&mut parts, chunk, starts_run, range, reach);
    };
    for chunk in sealed {
        extend(&chunk.unpack(), chunk.starts_run());
    }
    if open.n_bins() > 0 {
        extend(open, open_starts_run);
    }
    parts
}

/// Add what `range` and its context take of one chunk to the list of run parts.
fn extend_parts(
    parts: &mut Vec<RunPart>,
    chunk: &SpikeBlock,
    starts_run: bool,
    range: &Range<u64>,
    reach: u64,
) {
    let clip = |bin: u64| (bin.clamp(chunk.first_bin(), chunk.end_bin()) - chunk.first_bin()) as usize;
    let (start, asked_end) = (clip(range.start), clip(range.end));
    let continues = !starts_run && parts.last().is_some_and(|part| part.bins.end_bin() == chunk.first_bin());
    if !continues {
        if asked_end <= start {
            return;
        }
        let bins = SpikeBlock::empty(chunk.first_bin() + start as u64);
        parts.push(RunPart { bins, n_asked: 0 });
    }
    if let Some(part) = parts.last_mut() {
        part.bins.extend_from(chunk, start, clip(reach));
        part.n_asked += asked_end.saturating_sub(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first_bin: u64, n_bins: usize) -> SpikeBlock {
        let lists: Vec<Vec<u16>> = (0..n_bins).map(|k| vec![((first_bin as usize + k) % 5) as u16]).collect();
        SpikeBlock::from_lists(first_bin, &lists, 5).unwrap()
    }

    fn append(ring: &mut Ring, block: &SpikeBlock, starts_run: bool) {
        ring.append(block, 0..block.n_bins(), starts_run);
    }

    #[test]
    fn the_newest_bins_are_given_without_a_copy_when_their_context_is_there() {
        let mut ring = Ring::new(5);
        append(&mut ring, &block(0, CHUNK_BINS + 10), true);
        let open = block(CHUNK_BINS as u64, 10);
        assert_eq!(ring.newest(CHUNK_BINS as u64 + 3, 3), Some(&open));
        assert_eq!(
            ring.newest(CHUNK_BINS as u64 + 3, 4),
            None,
            "a bin of the context is in the chunk before"
        );
        assert_eq!(ring.newest(CHUNK_BINS as u64 - 1, 0), None);
        append(&mut ring, &block(5000, 4), true);
        assert_eq!(
            ring.newest(5000, 100),
            Some(&block(5000, 4)),
            "a run has no context before its first bin"
        );
    }

    #[test]
    fn only_the_bins_asked_for_are_appended() {
        let mut ring = Ring::new(5);
        ring.append(&block(0, 20), 5..8, true);
        ring.append(&block(0, 20), 8..20, false);
        assert_eq!(ring.view(0..20).runs().blocks, [block(5, 15)]);
    }

    #[test]
    fn a_run_is_given_back_whole_across_chunks() {
        let mut ring = Ring::new(5);
        for first in (0..5000).step_by(100) {
            append(&mut ring, &block(first, 100), first == 0);
        }
        let parts = ring.run_parts(1000..3000, 7);
        assert_eq!(parts, [RunPart { bins: block(1000, 2007), n_asked: 2000 }]);
        let parts = ring.run_parts(4990..5000, 7);
        assert_eq!(parts, [RunPart { bins: block(4990, 10), n_asked: 10 }]);
        let view = ring.view(1000..4999);
        append(&mut ring, &block(5000, 3000), false);
        ring.forget_before(8000);
        assert_eq!(view.runs().blocks, [block(1000, 3999)], "a view stays what it was");
    }

    #[test]
    fn a_run_of_too_many_entries_is_cut_between_chunks() {
        let mut ring = Ring::new(5);
        append(&mut ring, &block(0, 5 * CHUNK_BINS + 100), true);
        let view = ring.view(10..u64::MAX);
        let whole = view.runs();
        assert_eq!(whole.blocks, [block(10, 5 * CHUNK_BINS + 90)]);
        // One entry per bin: two chunks fit into a run, and the first is not whole.
        let cut = view.runs_of(2 * CHUNK_BINS);
        let starts: Vec<u64> = cut.blocks.iter().map(SpikeBlock::first_bin).collect();
        assert_eq!(starts, [10, 2 * CHUNK_BINS as u64, 4 * CHUNK_BINS as u64]);
        assert!(cut.blocks.iter().all(|run| run.n_active() <= 2 * CHUNK_BINS));
        assert_eq!(cut.transitions(), whole.transitions() - 2);
        // A chunk that is too large alone stays whole.
        assert_eq!(view.runs_of(1).blocks.len(), 6);
    }

    #[test]
    fn context_stops_at_the_end_of_the_run_and_never_comes_alone() {
        let mut ring = Ring::new(5);
        append(&mut ring, &block(0, 10), true);
        append(&mut ring, &block(10, 5), true);
        append(&mut ring, &block(100, 5), true);
        assert_eq!(ring.run_parts(5..10, 8), [RunPart { bins: block(5, 5), n_asked: 5 }]);
        let parts = ring.run_parts(0..102, 50);
        assert_eq!(
            parts,
            [
                RunPart { bins: block(0, 10), n_asked: 10 },
                RunPart { bins: block(10, 5), n_asked: 5 },
                RunPart { bins: block(100, 5), n_asked: 2 },
            ]
        );
        assert_eq!(ring.run_parts(20..90, 50), []);
    }

    #[test]
    fn forgetting_drops_whole_chunks_only() {
        let mut ring = Ring::new(5);
        append(&mut ring, &block(0, 3 * CHUNK_BINS), true);
        ring.forget_before(CHUNK_BINS as u64 + 1);
        assert_eq!(ring.first_bin(), Some(CHUNK_BINS as u64));
        ring.forget_before(u64::MAX);
        assert_eq!(ring.first_bin(), Some(2 * CHUNK_BINS as u64), "the growing chunk stays");
    }

    #[test]
    fn memory_stays_within_its_bound_when_every_bin_is_a_run() {
        let mut ring = Ring::new(100);
        for bin in 0..5000 {
            append(&mut ring, &SpikeBlock::from_lists(2 * bin, &[vec![7, 9]], 100).unwrap(), true);
        }
        assert!(ring.bytes() > 4999 * Chunk::OVERHEAD_BYTES);
        assert!(ring.bytes() as u64 <= Ring::bytes_max(100, 5000), "{}", ring.bytes());
        ring.forget_before(u64::MAX);
        assert_eq!(ring.bytes(), ring.open.bytes());
    }

    #[test]
    fn memory_stays_within_its_bound_at_any_rate() {
        for active in [0, 1, 20, 200] {
            let mut ring = Ring::new(200);
            let list: Vec<u16> = (0..active).collect();
            for first in 0..10 {
                let lists = vec![list.clone(); 777];
                append(&mut ring, &SpikeBlock::from_lists(first * 777, &lists, 200).unwrap(), first == 0);
            }
            assert!(ring.bytes() as u64 <= Ring::bytes_max(200, 7770), "{active} active: {}", ring.bytes());
            let parts = ring.run_parts(0..7770, 0);
            assert_eq!((parts.len(), parts[0].n_asked), (1, 7770));
            assert!(parts[0].bins.bins().all(|bin| bin == list));
        }
    }
}
