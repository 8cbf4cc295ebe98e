//! An emulator of the ZMQ Interface plugin of Open Ephys, by its source and manual (`src/cli/bridge/open_ephys/message.rs` says what was checked):
//! PUB on a data port, REP that answers heartbeats on another, and messages as plugin and Spike Detector send them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use zeromq::{PubSocket, RepSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

/// Samples per second.
pub(crate) const RATE: i64 = 30_000;
/// Samples of a block.
pub(crate) const BLOCK: i64 = 512;
/// The detector leaves so many samples of a block to the next.
const DELAY: i64 = 100;

/// A message: its envelope, header and payload.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) envelope: &'static str,
    pub(crate) header: Value,
    pub(crate) payload: usize,
}

/// A spike as the rig has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct True {
    pub(crate) electrode: u32,
    pub(crate) sorted_id: u32,
    pub(crate) sample: i64,
}

/// The plugin's sockets.
pub(crate) struct Plugin {
    runtime: Runtime,
    publisher: PubSocket,
    pub(crate) address: String,
    pub(crate) heartbeat_address: String,
    pub(crate) heartbeats: Arc<Mutex<Vec<Value>>>,
}

impl Plugin {
    pub(crate) fn start() -> Self {
        Self::start_at("tcp://127.0.0.1:0")
    }

    /// With this data port.
    pub(crate) fn start_at(address: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (publisher, address, mut listener, heartbeat_address) = runtime.block_on(async {
            let (mut publisher, mut listener) = (PubSocket::new(), RepSocket::new());
            let address = publisher.bind(address).await.unwrap().to_string();
            let heartbeat_address = listener.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
            (publisher, address, listener, heartbeat_address)
        });
        let heartbeats = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&heartbeats);
        runtime.spawn(async move {
            while let Ok(message) = listener.recv().await {
                heard.lock().unwrap().push(serde_json::from_slice(message.get(0).unwrap()).unwrap());
                if listener.send("heartbeat received".into()).await.is_err() {
                    return;
                }
            }
        });
        Self { runtime, publisher, address, heartbeat_address, heartbeats }
    }

    /// Frames as they are, sensible or not.
    pub(crate) fn publish_frames(&mut self, frames: &[Vec<u8>]) {
        let mut message = ZmqMessage::from(frames[0].clone());
        frames[1..].iter().for_each(|frame| message.push_back(frame.clone().into()));
        self.runtime.block_on(self.publisher.send(message)).unwrap();
    }

    pub(crate) fn publish(&mut self, messages: &[Sent]) {
        for Sent { envelope, header, payload } in messages {
            let envelope = format!("{envelope}\0").into_bytes();
            // JUCE writes objects over several lines.
            self.publish_frames(&[envelope, format!("{header:#}").into_bytes(), vec![0; *payload]]);
        }
    }
}

/// An acquisition whose first sample is taken when the rig's computer says `start_ms`.
pub(crate) struct Acquisition {
    pub(crate) stream: &'static str,
    pub(crate) start_ms: i64,
    pub(crate) channels: i64,
    pub(crate) spikes: BTreeSet<True>,
}

impl Acquisition {
    /// Independent spikes of `electrodes`, each of them with the sorted ids told, for so many samples.
    pub(crate) fn random(seed: u64, electrodes: u32, ids: &[u32], samples: i64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: i64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as i64 % below
        };
        // 20 per second and electrode.
        let count = samples * 20 * i64::from(electrodes) / RATE;
        let spikes = (0..count).map(|_| True {
            electrode: random(i64::from(electrodes)) as u32,
            sorted_id: ids[random(ids.len() as i64) as usize],
            sample: random(samples),
        });
        Self { stream: "Rhythm Data", start_ms: 1_700_000_000_000, channels: 2, spikes: spikes.collect() }
    }

    fn message(&self, number: i64, sample: i64, body: (&str, &str, Value), payload: usize) -> Sent {
        let (envelope, kind, content) = body;
        let envelope = if envelope == "DATA" { "DATA" } else { "EVENT" };
        let key = if kind == "spike" { "spike" } else { "content" };
        let mut header =
            json!({"message_num": number, "type": kind, "timestamp": self.start_ms + sample * 1000 / RATE});
        header[key] = content;
        if kind != "spike" {
            header["data_size"] = json!(payload);
        }
        Sent { envelope, header, payload }
    }

    /// What is sent of blocks `from..to`, when `sent` messages came before.
    pub(crate) fn messages(&self, from: i64, to: i64, sent: i64) -> Vec<Sent> {
        let mut messages = Vec::new();
        for block in from..to {
            let first = block * BLOCK;
            let end = first + BLOCK;
            let detected = (first - DELAY)..(end - DELAY);
            for spike in self.spikes.iter().filter(|spike| detected.contains(&spike.sample)) {
                let content = json!({
                    "stream": self.stream, "source_node": 105, "electrode": format!("Tetrode {}", spike.electrode + 1),
                    "sample_num": spike.sample, "num_channels": 4, "num_samples": 40, "sorted_id": spike.sorted_id,
                    "threshold": [-50.0, -50.0, -50.0, -50.0],
                });
                let number = sent + messages.len() as i64 + 1;
                messages.push(self.message(number, end, ("EVENT", "spike", content), 640));
            }
            if block % 7 == 0 {
                let content =
                    json!({"stream": self.stream, "source_node": 100, "type": 3, "sample_num": first});
                let number = sent + messages.len() as i64 + 1;
                messages.push(self.message(number, end, ("EVENT", "event", content), 10));
            }
            for channel in 0..self.channels {
                let content = json!({
                    "stream": self.stream, "channel_num": channel, "num_samples": BLOCK, "sample_num": first, "sample_rate": RATE as f64,
                });
                let number = sent + messages.len() as i64 + 1;
                messages.push(self.message(number, end, ("DATA", "data", content), 4 * BLOCK as usize));
            }
        }
        messages
    }
}

/// An event of an acquisition before, in which nothing fires: it tells whether anyone listens.
pub(crate) fn knock(number: i64) -> Sent {
    let content = json!({"stream": "Rhythm Data", "source_node": 100, "type": 3, "sample_num": 0});
    let header = json!({"message_num": 1000 + number, "type": "event", "content": content, "data_size": 10, "timestamp": 1_699_999_999_000_i64});
    Sent { envelope: "EVENT", header, payload: 10 }
}
