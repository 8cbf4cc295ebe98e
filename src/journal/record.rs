use prost::Message;

use crate::model::{BIN_MAX, LostSpikes, SpikeBlock, TrialMark};
use crate::proto::journal as stored;
use crate::proto::journal::entry::Kind;

/// One thing that changed a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Bins that were counted, and the marks that came with them; bins that had been counted before may be among them.
    Bins {
        /// The bins.
        block: SpikeBlock,
        /// Bins at whose left edge a trial starts or ends.
        trial_edges: Vec<u64>,
        /// Trials that came with the bins.
        trials: Vec<TrialMark>,
        /// Time-stamped spikes that did not become entries of these bins, or of those before them.
        lost: LostSpikes,
    },
    /// A trial that was marked apart from bins.
    Trial(TrialMark),
    /// A producer of this epoch took over.
    ProducerEpoch(u64),
    /// Time-stamped spikes that came after all bins and did not become entries of one.
    LostSpikes(LostSpikes),
}

/// What one commit made durable of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Committed {
    pub(super) records: Vec<Record>,
    /// The bin expected after them.
    pub(super) next_bin: u64,
}

/// A value of the database.
pub(super) fn encode(committed: &Committed, n_neurons: usize) -> Vec<u8> {
    let entries = committed.records.iter();
    let entries = entries.map(|record| stored::Entry { kind: Some(kind(record, n_neurons)) }).collect();
    let entries = stored::Entries { entries, next_bin: committed.next_bin };
    let mut value = vec![0; CHECKSUM_BYTES];
    value.reserve(entries.encoded_len());
    // A vector grows as it needs to.
    let _ = entries.encode(&mut value);
    let checksum = crc32fast::hash(&value[CHECKSUM_BYTES..]).to_le_bytes();
    value[..CHECKSUM_BYTES].copy_from_slice(&checksum);
    value
}

pub(super) const CHECKSUM_BYTES: usize = 4;

/// What [`encode`] made a value of, or what is wrong with it.
pub(super) fn decode(value: &[u8], n_neurons: usize) -> Result<Committed, String> {
    let (checksum, body) =
        value.split_first_chunk::<CHECKSUM_BYTES>().ok_or("it is shorter than its checksum")?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err("its checksum does not fit".to_owned());
    }
    let entries = stored::Entries::decode(body).map_err(|error| error.to_string())?;
    let records = entries.entries.into_iter().map(|entry| record(entry, n_neurons));
    Ok(Committed { records: records.collect::<Result<_, _>>()?, next_bin: entries.next_bin })
}

fn kind(record: &Record, n_neurons: usize) -> Kind {
    match record {
        Record::Bins { block, trial_edges, trials, lost } => {
            let mut bins = shorter(block, n_neurons);
            bins.lost_spikes = (!lost.is_empty()).then(|| lost_to_stored(*lost));
            bins.trial_edges.clone_from(trial_edges);
            bins.trials = trials.iter().map(trial).collect();
            Kind::Bins(bins)
        }
        Record::Trial(mark) => Kind::Trial(trial(mark)),
        Record::ProducerEpoch(epoch) => Kind::ProducerEpoch(*epoch),
        Record::LostSpikes(lost) => Kind::LostSpikes(lost_to_stored(*lost)),
    }
}

fn trial(&TrialMark { start_bin, stop_bin }: &TrialMark) -> stored::Trial {
    stored::Trial { start_bin, stop_bin }
}

fn shorter(block: &SpikeBlock, n_neurons: usize) -> stored::Bins {
    let first_bin = block.first_bin();
    let bytes_per_bin = n_neurons.div_ceil(8);
    // A count takes one byte below 128.
    let listed_bytes = block.n_bins() + block.n_active() * bytes_per_neuron(n_neurons);
    if listed_bytes <= block.n_bins() * bytes_per_bin {
        return stored::Bins {
            first_bin,
            active_counts: block.bins().map(|bin| bin.len() as u32).collect(),
            neuron_bytes: neuron_bytes(block.active_in(0..block.n_bins()), n_neurons),
            ..Default::default()
        };
    }
    let mut bits = vec![0_u8; block.n_bins() * bytes_per_bin];
    for (bin, row) in block.bins().zip(bits.chunks_exact_mut(bytes_per_bin)) {
        for &neuron in bin {
            row[usize::from(neuron) / 8] |= 1 << (neuron % 8);
        }
    }
    stored::Bins { first_bin, bin_count: block.n_bins() as u32, bits, ..Default::default() }
}

/// What the index of a neuron takes.
fn bytes_per_neuron(n_neurons: usize) -> usize {
    if n_neurons <= 256 { 1 } else { 2 }
}

fn neuron_bytes(neurons: &[u16], n_neurons: usize) -> Vec<u8> {
    match bytes_per_neuron(n_neurons) {
        1 => neurons.iter().map(|&neuron| neuron as u8).collect(),
        _ => neurons.iter().flat_map(|neuron| neuron.to_le_bytes()).collect(),
    }
}

fn neurons_of(bytes: &[u8], n_neurons: usize) -> Result<Vec<u32>, String> {
    if bytes_per_neuron(n_neurons) == 1 {
        return Ok(bytes.iter().map(|&byte| u32::from(byte)).collect());
    }
    match bytes.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&pair| u32::from(u16::from_le_bytes(pair))).collect()),
        _ => Err(format!("{} bytes are no whole number of neurons", bytes.len())),
    }
}

fn record(entry: stored::Entry, n_neurons: usize) -> Result<Record, String> {
    match entry.kind {
        Some(Kind::Bins(bins)) => {
            let trials = bins.trials.iter().map(mark).collect();
            let block = block(&bins, n_neurons)?;
            let lost = bins.lost_spikes.map_or_else(LostSpikes::default, lost);
            Ok(Record::Bins { block, trial_edges: bins.trial_edges, trials, lost })
        }
        Some(Kind::Trial(trial)) => Ok(Record::Trial(mark(&trial))),
        Some(Kind::ProducerEpoch(epoch)) => Ok(Record::ProducerEpoch(epoch)),
        Some(Kind::LostSpikes(stored)) => Ok(Record::LostSpikes(lost(stored))),
        // Written by a later version: to pass over it would be to lose what it did.
        None => Err("it is of an unknown kind".to_owned()),
    }
}

fn lost_to_stored(LostSpikes { late, merged, masked }: LostSpikes) -> stored::LostSpikes {
    stored::LostSpikes { late, merged, masked }
}

fn lost(stored::LostSpikes { late, merged, masked }: stored::LostSpikes) -> LostSpikes {
    LostSpikes { late, merged, masked }
}

fn mark(&stored::Trial { start_bin, stop_bin }: &stored::Trial) -> TrialMark {
    TrialMark { start_bin, stop_bin }
}

fn block(bins: &stored::Bins, n_neurons: usize) -> Result<SpikeBlock, String> {
    let n_bins = bins.active_counts.len().max(bins.bin_count as usize) as u64;
    if bins.first_bin.checked_add(n_bins).is_none_or(|end_bin| end_bin > BIN_MAX) {
        return Err(format!("{n_bins} bins from bin {} on pass the last bin {BIN_MAX}", bins.first_bin));
    }
    let is_listed =
        !bins.active_counts.is_empty() || !bins.neurons.is_empty() || !bins.neuron_bytes.is_empty();
    let is_packed = bins.bin_count > 0 || !bins.bits.is_empty();
    if is_listed && is_packed || !bins.neurons.is_empty() && !bins.neuron_bytes.is_empty() {
        return Err("it lists its neurons twice".to_owned());
    }
    let mut block = SpikeBlock::empty(bins.first_bin);
    if !is_packed {
        let read;
        let mut rest = if bins.neuron_bytes.is_empty() {
            &bins.neurons[..]
        } else {
            read = neurons_of(&bins.neuron_bytes, n_neurons)?;
            &read
        };
        for &count in &bins.active_counts {
            let (active, after) =
                rest.split_at_checked(count as usize).ok_or("it counts more neurons than it lists")?;
            let active = active.iter().map(|&neuron| u64::from(neuron));
            block.push_unsorted(active, n_neurons).map_err(|error| error.to_string())?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err("it lists more neurons than it counts".to_owned());
        }
        return Ok(block);
    }
    let bytes_per_bin = n_neurons.div_ceil(8);
    if bins.bits.len() != bins.bin_count as usize * bytes_per_bin {
        return Err(format!("{} bytes are not {} bins", bins.bits.len(), bins.bin_count));
    }
    for row in bins.bits.chunks_exact(bytes_per_bin) {
        block.push_unsorted(set_bits(row), n_neurons).map_err(|error| error.to_string())?;
    }
    Ok(block)
}

/// Places of the bits set, in order.
fn set_bits(row: &[u8]) -> impl Iterator<Item = u64> + '_ {
    row.chunks(8).enumerate().flat_map(|(place, chunk)| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let mut word = u64::from_le_bytes(bytes);
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| u64::from(word.trailing_zeros()))?;
            word &= word - 1;
            Some(64 * place as u64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lists(n_neurons: usize) -> impl Strategy<Value = Vec<Vec<u16>>> {
        let neuron = 0..n_neurons as u16;
        prop::collection::vec(prop::collection::vec(neuron, 0..n_neurons.min(300)), 1..20)
    }

    proptest! {
        #[test]
        fn every_record_comes_back(
            (n_neurons, lists) in (1_usize..400).prop_flat_map(|n| (Just(n), lists(n))),
            first_bin in 0..BIN_MAX - 100,
            marks in prop::collection::vec((any::<u64>(), any::<Option<u64>>()), 0..4),
            epoch: u64,
        ) {
            let block = SpikeBlock::from_lists(first_bin, &lists, n_neurons).unwrap();
            let mark = |&(start_bin, stop_bin): &(u64, Option<u64>)| TrialMark { start_bin, stop_bin };
            let trials: Vec<TrialMark> = marks.iter().map(mark).collect();
            let mut records = vec![Record::ProducerEpoch(epoch)];
            records.extend(trials.iter().map(|&mark| Record::Trial(mark)));
            let lost = LostSpikes { late: first_bin, merged: 1, masked: 2 };
            records.push(Record::Bins { block, trial_edges: vec![first_bin, first_bin + 3], trials, lost });
            records.push(Record::LostSpikes(lost));
            let committed = Committed { records, next_bin: epoch };
            prop_assert_eq!(decode(&encode(&committed, n_neurons), n_neurons), Ok(committed));
        }

        #[test]
        fn a_changed_byte_is_found(place: prop::sample::Index, flip in 1_u8..) {
            let block = SpikeBlock::from_lists(7, &[vec![1, 2], vec![], vec![0]], 3).unwrap();
            let records = vec![Record::Bins { block, trial_edges: vec![], trials: vec![], lost: LostSpikes::default() }];
            let mut value = encode(&Committed { records, next_bin: 10 }, 3);
            let place = place.index(value.len());
            value[place] ^= flip;
            prop_assert!(decode(&value, 3).is_err());
        }
    }

    #[test]
    fn busy_bins_take_a_bit_per_neuron() {
        let all: Vec<u16> = (0..1000).collect();
        let block = SpikeBlock::from_lists(0, &[all.clone(), all], 1000).unwrap();
        let records =
            vec![Record::Bins { block, trial_edges: vec![], trials: vec![], lost: LostSpikes::default() }];
        let value = encode(&Committed { records, next_bin: 2 }, 1000);
        assert!((250..280).contains(&value.len()), "{}", value.len());
    }

    #[test]
    fn bins_of_the_first_versions_are_read() {
        let bins = stored::Bins {
            first_bin: 4,
            active_counts: vec![2, 0, 1],
            neurons: vec![1, 300, 2],
            ..Default::default()
        };
        let read = block(&bins, 400).unwrap();
        let expected = SpikeBlock::from_lists(4, &[vec![1, 300], vec![], vec![2]], 400).unwrap();
        assert_eq!(read, expected);
        assert_eq!(block(&shorter(&expected, 400), 400), Ok(expected));
    }

    #[test]
    fn what_no_daemon_writes_is_refused() {
        let reason = |bins: stored::Bins| {
            let entries = vec![stored::Entry { kind: Some(Kind::Bins(bins)) }];
            let entries = stored::Entries { entries, next_bin: 0 };
            let body = entries.encode_to_vec();
            let value = [&crc32fast::hash(&body).to_le_bytes()[..], &body].concat();
            decode(&value, 9).unwrap_err()
        };
        let bins = stored::Bins::default;
        assert!(reason(stored::Bins { active_counts: vec![1], ..bins() }).contains("than it lists"));
        assert!(reason(stored::Bins { neurons: vec![1], ..bins() }).contains("than it counts"));
        let neurons = vec![9];
        assert!(reason(stored::Bins { active_counts: vec![1], neurons, ..bins() }).contains("index 9"));
        assert!(reason(stored::Bins { bin_count: 2, bits: vec![0; 3], ..bins() }).contains("3 bytes"));
        assert!(reason(stored::Bins { bin_count: 1, bits: vec![0, 2], ..bins() }).contains("index 9"));
        let (active_counts, neuron_bytes) = (vec![1], vec![9]);
        let listed = stored::Bins { active_counts, neuron_bytes, ..bins() };
        assert!(reason(listed.clone()).contains("index 9"));
        assert!(reason(stored::Bins { neurons: vec![1], ..listed.clone() }).contains("twice"));
        assert!(reason(stored::Bins { bin_count: 1, ..listed.clone() }).contains("twice"));
        assert!(reason(stored::Bins { bits: vec![0, 1], ..listed }).contains("twice"));
        assert!(neurons_of(&[1, 0, 2], 257).unwrap_err().contains("3 bytes"));
        let beyond = stored::Bins { first_bin: u64::MAX, active_counts: vec![0], ..bins() };
        assert!(reason(beyond).contains("pass the last bin"));
        assert!(decode(&[1, 2], 9).is_err());
    }
}
