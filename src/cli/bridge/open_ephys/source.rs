//! Listening to the plugin, and letting it know that someone listens.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::message::{self, Malformed, Message};
use crate::cli::bridge::zmtp::{Connection, Kind, ZmtpError};

/// Messages waiting to be taken. Small ones, without payload; when it is full nothing more is read, and the plugin drops what does not fit into its
/// own queue, which its message numbers tell.
const WAITING_MAX: usize = 8192;

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

/// How patient we are with the plugin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Pause before the next attempt to connect: a rig that starts again is met before its first block.
    retry: Duration,
    /// Longest pause before the next attempt with a peer that fails at once.
    retry_longest: Duration,
    /// How long a connection has to stand, after one that failed at once, before it is told of.
    trust: Duration,
    /// How often a client is to show itself, as the plugin's manual recommends.
    heartbeat: Duration,
    /// How long the plugin may take to answer. After 5 s without a sign of life it shows a client in red.
    answer: Duration,
    /// A connection without a message for so long is given up when heartbeats are not answered any longer.
    silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry: Duration::from_millis(200),
            retry_longest: Duration::from_secs(5),
            trust: Duration::from_secs(1),
            heartbeat: Duration::from_secs(2),
            answer: Duration::from_secs(3),
            silence: Duration::from_secs(5),
        }
    }
}

/// Says that heartbeats, which were answered, are not any longer: a rig without power closes no connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Lifeless(Arc<Notify>);

/// How a connection ended.
struct Ended {
    problem: String,
    /// Whether a message came that was understood.
    is_good: bool,
    /// Whether it was told of.
    is_told: bool,
}

/// Listen to `host:port` until nobody takes what is heard.
pub(super) fn listen(address: String, pace: Pace, lifeless: Lifeless, sender: mpsc::Sender<Heard>) {
    tokio::spawn(async move {
        // Told once, not at each attempt.
        let mut told = String::new();
        let mut pause = pace.retry;
        while !sender.is_closed() {
            let began = Instant::now();
            let (ended, fails_at_once) = match Connection::open(&address, Kind::Subscriber).await {
                Err(error) => {
                    let fails_at_once =
                        !matches!(&error, ZmtpError::Io(error) if error.kind() != ErrorKind::UnexpectedEof);
                    (Ended { problem: error.to_string(), is_good: false, is_told: false }, fails_at_once)
                }
                Ok(connection) => {
                    let is_doubtful = pause > pace.retry;
                    let Some(ended) = hear(connection, is_doubtful, pace, &lifeless, &sender).await else {
                        return;
                    };
                    let is_brief = !ended.is_good && began.elapsed() < pace.retry_longest;
                    (ended, is_brief)
                }
            };
            if ended.is_good {
                told.clear();
            }
            if ended.problem != told || ended.is_told {
                told.clone_from(&ended.problem);
                if sender.send(Heard::Disconnected(ended.problem)).await.is_err() {
                    return;
                }
            }
            sleep(pause).await;
            pause = if fails_at_once { (2 * pause).min(pace.retry_longest) } else { pace.retry };
        }
    });
}

/// Hear what comes over a connection until it breaks; `None` when nobody takes what is heard.
async fn hear(
    mut connection: Connection<TcpStream>,
    is_doubtful: bool,
    pace: Pace,
    lifeless: &Lifeless,
    sender: &mpsc::Sender<Heard>,
) -> Option<Ended> {
    let mut newest = Instant::now();
    let trusted_at = newest + pace.trust;
    let (mut is_good, mut is_told) = (false, !is_doubtful);
    if is_told {
        sender.send(Heard::Connected).await.ok()?;
    }
    loop {
        // One future until a message is whole: what was read of it must not be dropped.
        let mut receive = pin!(connection.receive());
        let parts = loop {
            tokio::select! {
                biased;
                () = sender.closed() => return None,
                () = sleep_until(trusted_at), if !is_told => {
                    is_told = true;
                    sender.send(Heard::Connected).await.ok()?;
                }
                parts = &mut receive => break parts,
                () = lifeless.0.notified() => {
                    if newest.elapsed() >= pace.silence {
                        let problem = "no sign of life any longer".to_owned();
                        return Some(Ended { problem, is_good, is_told });
                    }
                }
            }
        };
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => return Some(Ended { problem: error.to_string(), is_good, is_told }),
        };
        newest = Instant::now();
        let message = message::parse(&parts);
        is_good |= message.is_ok();
        is_told |= is_good;
        sender.send(Heard::Message(message, newest)).await.ok()?;
    }
}

/// Show the plugin at `host:port` every two seconds that we are there; `sender` hears when that begins or ceases to work, and `lifeless` when
/// it has ceased twice in a row.
pub(super) fn show_life(address: String, pace: Pace, lifeless: Lifeless, sender: mpsc::Sender<Heard>) {
    // The seeds of hash maps are random; one client need only be told from others.
    let random = || RandomState::new().build_hasher().finish();
    let uuid = uuid::Uuid::from_u64_pair(random(), random());
    let beat = json!({"application": "glauber", "uuid": uuid.to_string(), "type": "heartbeat"}).to_string();
    tokio::spawn(async move {
        let mut connection = None;
        let mut was_well = None;
        let (mut was_ever_well, mut failures) = (false, 0_u32);
        while !sender.is_closed() {
            let state = match timeout(pace.answer, beat_once(&mut connection, &address, &beat)).await {
                Ok(answered) => answered,
                Err(_) => Err("no answer".to_owned()),
            };
            if state.is_err() {
                // A requester whose answer does not come can ask no more.
                connection = None;
            }
            was_ever_well |= state.is_ok();
            failures = if state.is_ok() { 0 } else { failures.saturating_add(1) };
            if was_ever_well && failures > 1 {
                lifeless.0.notify_waiters();
            }
            if was_well != Some(state.is_ok()) {
                was_well = Some(state.is_ok());
                let _ = sender.send(Heard::Heartbeat(state)).await;
            }
            sleep(pace.heartbeat).await;
        }
    });
}

async fn beat_once(
    connection: &mut Option<Connection<TcpStream>>,
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Long enough for a machine that does much else.
    const LIMIT: Duration = Duration::from_secs(60);

    fn hurried() -> Pace {
        let short = Duration::from_millis(50);
        Pace {
            retry: Duration::from_millis(10),
            retry_longest: Duration::from_secs(600),
            trust: LIMIT,
            heartbeat: short,
            answer: short,
            silence: short,
        }
    }

    /// Meet the next who comes as a socket of that kind.
    async fn shake(listener: &TcpListener, kind: &[u8; 3]) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
        greeting.extend_from_slice(b"NULL");
        greeting.resize(64, 0);
        let ready = [b"\x05READY\x0bSocket-Type\x00\x00\x00\x03", &kind[..]].concat();
        greeting.extend_from_slice(&[4, ready.len() as u8]);
        greeting.extend_from_slice(&ready);
        stream.write_all(&greeting).await.unwrap();
        stream
    }

    async fn wait_for(heard: &mut mpsc::Receiver<Heard>, fits: impl Fn(&Heard) -> bool) {
        let search = async { while !heard.recv().await.as_ref().is_some_and(&fits) {} };
        timeout(LIMIT, search).await.expect("to be heard");
    }

    #[tokio::test]
    async fn a_rig_that_falls_silent_without_a_word_is_met_again() {
        let publisher = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answerer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let (sender, mut heard) = queue();
        let lifeless = Lifeless::default();
        listen(address(&publisher), hurried(), lifeless.clone(), sender.clone());
        let silent = timeout(LIMIT, shake(&publisher, b"PUB")).await.unwrap();
        wait_for(&mut heard, |heard| matches!(heard, Heard::Connected)).await;
        let pace = Pace { answer: Duration::from_secs(1), ..hurried() };
        show_life(address(&answerer), pace, lifeless, sender);
        // The first heartbeat is answered; then nothing comes any more, and nothing is closed.
        let mut answering = timeout(LIMIT, shake(&answerer, b"REP")).await.unwrap();
        let mut question = Vec::new();
        while !question.ends_with(b"}") {
            assert!(answering.read_buf(&mut question).await.unwrap() > 0);
        }
        answering.write_all(b"\x01\x00\x00\x02ok").await.unwrap();
        wait_for(&mut heard, |heard| matches!(heard, Heard::Heartbeat(Ok(())))).await;
        wait_for(
            &mut heard,
            |heard| matches!(heard, Heard::Disconnected(why) if why.contains("sign of life")),
        )
        .await;
        timeout(LIMIT, shake(&publisher, b"PUB")).await.expect("it is met again");
        drop((silent, answering));
    }

    #[tokio::test]
    async fn a_peer_that_fails_at_once_is_told_of_once_and_asked_less_often() {
        let publisher = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sender, mut heard) = queue();
        listen(publisher.local_addr().unwrap().to_string(), hurried(), Lifeless::default(), sender);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let began = Instant::now();
            let mut stream = timeout(LIMIT, shake(&publisher, b"PUB")).await.unwrap();
            pauses.push(began.elapsed());
            // All that it says is taken, so that it ends without a reset; then it is closed.
            stream.shutdown().await.unwrap();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
        }
        assert!(pauses[6] >= Duration::from_millis(10 * 16), "{pauses:?}");
        let mut told = Vec::new();
        while let Ok(heard) = heard.try_recv() {
            told.push(heard);
        }
        assert!(matches!(told[..], [Heard::Connected, Heard::Disconnected(_)]), "{told:?}");
    }
}
