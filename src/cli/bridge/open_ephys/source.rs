//! Listening to the plugin, and letting it know that someone listens.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::message::{self, Malformed, Message};
use crate::cli::bridge::zmtp::{Connection, Kind};

/// Messages waiting to be taken. Small ones, without payload; when it is full nothing more is read, and the plugin drops what does not fit into its
/// own queue, which its message numbers tell.
const WAITING_MAX: usize = 8192;
/// Pause before the next attempt to connect: a rig that starts again is met before its first block.
const RETRY: Duration = Duration::from_millis(200);
/// How often a client is to show itself, as the plugin's manual recommends.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the plugin may take to answer. After 5 s without a sign of life it shows a client in red.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// What is heard of the plugin.
#[derive(Debug)]
pub(super) enum Heard {
    /// The connection stands.
    Connected,
    /// There is no connection (any longer).
    Disconnected(String),
    /// A message, and when it came.
    Message(Result<Message, Malformed>, Instant),
    /// The plugin answers heartbeats, or does not.
    Heartbeat(Result<(), String>),
}

/// What is heard waits in here.
pub(super) fn queue() -> (mpsc::Sender<Heard>, mpsc::Receiver<Heard>) {
    mpsc::channel(WAITING_MAX)
}

/// Listen to `host:port` until nobody takes what is heard.
pub(super) fn listen(address: String, sender: mpsc::Sender<Heard>) {
    tokio::spawn(async move {
        // Told once, not at each attempt.
        let mut told = String::new();
        while !sender.is_closed() {
            let problem = match Connection::open(&address, Kind::Subscriber).await {
                Err(error) => error.to_string(),
                Ok(mut connection) => {
                    told.clear();
                    if sender.send(Heard::Connected).await.is_err() {
                        return;
                    }
                    loop {
                        let parts = tokio::select! {
                            parts = connection.receive() => parts,
                            () = sender.closed() => return,
                        };
                        let heard = match parts {
                            Ok(parts) => Heard::Message(message::parse(&parts), Instant::now()),
                            Err(error) => break error.to_string(),
                        };
                        if sender.send(heard).await.is_err() {
                            return;
                        }
                    }
                }
            };
            if problem != told {
                told.clone_from(&problem);
                if sender.send(Heard::Disconnected(problem)).await.is_err() {
                    return;
                }
            }
            sleep(RETRY).await;
        }
    });
}

/// Show the plugin at `host:port` every two seconds that we are there; `sender` hears when that begins or ceases to work.
pub(super) fn show_life(address: String, sender: mpsc::Sender<Heard>) {
    // The seeds of hash maps are random; one client need only be told from others.
    let random = || RandomState::new().build_hasher().finish();
    let uuid = uuid::Uuid::from_u64_pair(random(), random());
    let beat = json!({"application": "glauber", "uuid": uuid.to_string(), "type": "heartbeat"}).to_string();
    tokio::spawn(async move {
        let mut connection = None;
        let mut was_well = None;
        while !sender.is_closed() {
            let state = match timeout(ANSWER_WAIT, beat_once(&mut connection, &address, &beat)).await {
                Ok(answered) => answered,
                Err(_) => Err("no answer".to_owned()),
            };
            if state.is_err() {
                // A requester whose answer does not come can ask no more.
                connection = None;
            }
            if was_well != Some(state.is_ok()) {
                was_well = Some(state.is_ok());
                let _ = sender.send(Heard::Heartbeat(state)).await;
            }
            sleep(HEARTBEAT).await;
        }
    });
}

async fn beat_once(
    connection: &mut Option<Connection<tokio::net::TcpStream>>,
    address: &str,
    beat: &str,
) -> Result<(), String> {
    if connection.is_none() {
        let opened = Connection::open(address, Kind::Requester).await;
        *connection = Some(opened.map_err(|error| error.to_string())?);
    }
    match connection {
        Some(connection) => {
            connection.ask(beat.as_bytes()).await.map(drop).map_err(|error| error.to_string())
        }
        None => Ok(()),
    }
}
