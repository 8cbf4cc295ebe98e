//! Spikes onto the wire without encoding them anew: only the number of the first bin differs from round to round.

use glauber::proto::v1;
use prost::Message as _;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use super::ring::Prepared;

/// Number of `bins` in `StreamSpikesRequest`, and of `first_bin` in `SpikeBins`.
const BINS_FIELD: u32 = 2;
const FIRST_BIN_FIELD: u32 = 1;

/// A request of a stream of spikes.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Its beginning.
    Open(v1::OpenStream),
    /// Bins.
    Bins(Prepared),
}

/// Writes requests, reads answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpikesCodec;

impl Codec for SpikesCodec {
    type Encode = Outgoing;
    type Decode = v1::StreamSpikesResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<v1::StreamSpikesResponse>;

    fn encoder(&mut self) -> Self::Encoder {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for SpikesCodec {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match item {
            Outgoing::Open(open) => {
                let message = Some(v1::stream_spikes_request::Message::Open(open));
                let request = v1::StreamSpikesRequest { message };
                request.encode(out).map_err(|error| Status::internal(error.to_string()))
            }
            Outgoing::Bins(prepared) => {
                write(&prepared, out);
                Ok(())
            }
        }
    }
}

/// A `StreamSpikesRequest` with these bins.
fn write(prepared: &Prepared, out: &mut impl BufMut) {
    let Prepared { first_bin, body } = prepared;
    // What is 0 is not written.
    let first_len = match *first_bin {
        0 => 0,
        bin => key_len(FIRST_BIN_FIELD) + encoded_len_varint(bin),
    };
    encode_key(BINS_FIELD, WireType::LengthDelimited, out);
    encode_varint((first_len + body.len()) as u64, out);
    if first_len > 0 {
        encode_key(FIRST_BIN_FIELD, WireType::Varint, out);
        encode_varint(*first_bin, out);
    }
    out.put_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_generated_code() {
        for first_bin in [0, 1, 127, 128, 1 << 40, u64::MAX] {
            let sparse = v1::SparseBins { active_counts: vec![2, 0], neurons: vec![3, 700] };
            let spikes = Some(v1::spike_bins::Spikes::Sparse(sparse));
            let body = v1::SpikeBins { spikes: spikes.clone(), ..Default::default() }.encode_to_vec();
            let mut written = Vec::new();
            write(&Prepared { first_bin, body: body.into() }, &mut written);
            let bins = v1::SpikeBins { first_bin, spikes, ..Default::default() };
            let message = Some(v1::stream_spikes_request::Message::Bins(bins));
            assert_eq!(written, v1::StreamSpikesRequest { message }.encode_to_vec(), "{first_bin}");
        }
    }
}
