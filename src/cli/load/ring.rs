//! What the rigs send: messages of seeded spikes, encoded once and sent over and over under new bin numbers.

use std::sync::Arc;

use clap::ValueEnum;
use glauber::proto::v1;
use prost::Message as _;
use prost::bytes::Bytes;
use prost::encoding::encoded_len_varint;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bins before the spikes come again.
const BINS: u64 = 8192;
/// Bytes of encoded spikes that are enough, should they be reached before.
const BYTES_MAX: usize = 8 << 20;

/// How the spikes of a message are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// Lists of active neurons
    Sparse,
    /// One bit per neuron
    Packed,
}

/// What the messages are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) n_neurons: u32,
    /// Share of the neurons that are active in a bin, each independently.
    pub(super) active: f64,
    pub(super) batch_bins: u64,
    pub(super) encoding: Encoding,
    pub(super) seed: u64,
}

impl Shape {
    /// Bytes of an encoded message: its spikes, on average.
    pub(super) fn message_bytes(&self) -> u64 {
        match self.encoding {
            Encoding::Packed => self.batch_bins * u64::from(self.n_neurons.div_ceil(8)),
            Encoding::Sparse => {
                // Each bin has the number of its active neurons, and these, as varints of 7 bits a byte.
                let two_bytes = self.n_neurons.saturating_sub(1 << 7);
                let neurons = self.active * (f64::from(self.n_neurons) + f64::from(two_bytes));
                let count = encoded_len_varint((self.active * f64::from(self.n_neurons)) as u64);
                (self.batch_bins as f64 * (neurons + count as f64)).ceil() as u64
            }
        }
    }
}

/// Prepared messages. A rig begins at a place of its own and goes round.
#[derive(Debug)]
pub(super) struct Ring {
    batch_bins: u64,
    /// `SpikeBins` without `first_bin`.
    bodies: Vec<Bytes>,
    /// Bytes, and active entries, of the messages before each, and last of all.
    bytes_before: Vec<u64>,
    entries_before: Vec<u64>,
}

/// A message on its way: the number of its first bin and its spikes.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) first_bin: u64,
    pub(super) body: Bytes,
}

impl Ring {
    /// Draw the spikes and encode them.
    pub(super) fn prepare(shape: &Shape) -> Arc<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(shape.seed);
        let mut ring = Self {
            batch_bins: shape.batch_bins,
            bodies: Vec::new(),
            bytes_before: vec![0],
            entries_before: vec![0],
        };
        let (mut bytes, mut entries) = (0, 0);
        while ring.bodies.is_empty()
            || (ring.bodies.len() as u64 * shape.batch_bins < BINS && bytes < BYTES_MAX as u64)
        {
            let lists: Vec<Vec<u32>> = (0..shape.batch_bins)
                .map(|_| (0..shape.n_neurons).filter(|_| rng.random_bool(shape.active)).collect())
                .collect();
            let bins = v1::SpikeBins { spikes: Some(encode(&lists, shape)), ..Default::default() };
            let body = bins.encode_to_vec();
            bytes += body.len() as u64;
            entries += lists.iter().map(Vec::len).sum::<usize>() as u64;
            ring.bodies.push(body.into());
            ring.bytes_before.push(bytes);
            ring.entries_before.push(entries);
        }
        Arc::new(ring)
    }

    /// Where a rig of so many begins.
    pub(super) fn place(&self, rig: usize, rigs: usize) -> usize {
        rig * self.bodies.len() / rigs.max(1)
    }

    /// The `number`-th message of a rig that began at `place`.
    pub(super) fn message(&self, place: usize, number: u64) -> Prepared {
        let length = self.bodies.len() as u64;
        let body = self.bodies.get(((place as u64 + number) % length) as usize).cloned();
        Prepared { first_bin: number * self.batch_bins, body: body.unwrap_or_default() }
    }

    /// Bins of a message.
    pub(super) fn batch_bins(&self) -> u64 {
        self.batch_bins
    }

    /// Bytes of the spikes of the first `messages` messages of a rig that began at `place`.
    pub(super) fn bytes_of(&self, place: usize, messages: u64) -> u64 {
        sum(&self.bytes_before, place, messages)
    }

    /// Active (neuron, bin) entries of the same.
    pub(super) fn entries_of(&self, place: usize, messages: u64) -> u64 {
        sum(&self.entries_before, place, messages)
    }
}

/// The sum of `count` values from `place` on, round and round, of which `before` holds the partial sums.
fn sum(before: &[u64], place: usize, count: u64) -> u64 {
    let length = before.len() as u64 - 1;
    let up_to = |end: u64| {
        let round = before.last().copied().unwrap_or_default();
        end / length * round + before.get((end % length) as usize).copied().unwrap_or_default()
    };
    up_to(place as u64 + count) - up_to(place as u64)
}

fn encode(lists: &[Vec<u32>], shape: &Shape) -> v1::spike_bins::Spikes {
    match shape.encoding {
        Encoding::Sparse => v1::spike_bins::Spikes::Sparse(v1::SparseBins {
            active_counts: lists.iter().map(|list| list.len() as u32).collect(),
            neurons: lists.concat(),
        }),
        Encoding::Packed => {
            let bytes_per_bin = shape.n_neurons.div_ceil(8) as usize;
            let mut bits = vec![0_u8; lists.len() * bytes_per_bin];
            for (list, row) in lists.iter().zip(bits.chunks_exact_mut(bytes_per_bin)) {
                for &neuron in list {
                    row[neuron as usize / 8] |= 1 << (neuron % 8);
                }
            }
            v1::spike_bins::Spikes::Packed(v1::PackedBins { bin_count: lists.len() as u32, bits })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(encoding: Encoding) -> Shape {
        Shape { n_neurons: 21, active: 0.3, batch_bins: 100, encoding, seed: 4 }
    }

    fn entries(prepared: &Prepared) -> u64 {
        let bins = v1::SpikeBins::decode(prepared.body.clone()).unwrap();
        match bins.spikes.unwrap() {
            v1::spike_bins::Spikes::Sparse(sparse) => sparse.neurons.len() as u64,
            v1::spike_bins::Spikes::Packed(packed) => {
                packed.bits.iter().map(|byte| u64::from(byte.count_ones())).sum()
            }
        }
    }

    #[test]
    fn what_was_sent_is_known_by_the_number_of_messages() {
        for encoding in [Encoding::Sparse, Encoding::Packed] {
            let ring = Ring::prepare(&shape(encoding));
            let rounds = 2 * ring.bodies.len() as u64 + 7;
            let place = ring.place(2, 3);
            assert!(place > 0);
            let (mut bytes, mut found) = (0, 0);
            for number in 0..rounds {
                assert_eq!(ring.bytes_of(place, number), bytes);
                assert_eq!(ring.entries_of(place, number), found);
                let message = ring.message(place, number);
                assert_eq!(message.first_bin, number * 100);
                bytes += message.body.len() as u64;
                found += entries(&message);
            }
        }
    }

    #[test]
    fn the_size_of_a_message_is_known_before_it_is_made() {
        for (n_neurons, active) in [(21, 0.3), (500, 0.1), (3000, 0.02), (3000, 0.5), (40, 0.0)] {
            for encoding in [Encoding::Sparse, Encoding::Packed] {
                let shape = Shape { n_neurons, active, batch_bins: 200, encoding, seed: 4 };
                let found = Ring::prepare(&shape).bytes_before[1] as f64;
                let expected = shape.message_bytes() as f64;
                assert!((found - expected).abs() < 0.05 * found + 12.0, "{shape:?}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn both_encodings_hold_the_same_spikes() {
        let (sparse, packed) =
            (Ring::prepare(&shape(Encoding::Sparse)), Ring::prepare(&shape(Encoding::Packed)));
        assert_eq!(sparse.entries_before, packed.entries_before);
    }
}
