//! Accepting connections: no more of them than are allowed, each set up in bounded time, none kept that is not used.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_stream::Stream;

pub(super) use super::connection::{Connection, Peer};

/// Time after which a listener that could not accept a connection tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);
/// Longest time for a client to read why its handshake failed.
const LAST_ALERT_WAIT: Duration = Duration::from_secs(1);

/// What connections are allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Connections at once.
    pub(super) connections_max: usize,
    /// Connections at once from one address.
    pub(super) connections_per_peer_max: usize,
    /// Longest time until a connection is set up.
    pub(super) handshake: Duration,
    /// Longest time without a call; `None` when that is not looked at.
    pub(super) idle: Option<Duration>,
}

/// How TLS is spoken; may change between connections.
pub(super) type Tls = Arc<ArcSwap<rustls::ServerConfig>>;

/// Accepts connections up to a limit; one too many is closed at once, so that its client knows.
///
/// A task of its own accepts, because handshakes take as long as clients like, and because a server that is handed an error of
/// accepting, such as too many open files, would stop serving.
pub(super) struct Connections {
    accepted: mpsc::Receiver<Connection>,
    address: SocketAddr,
}

impl Connections {
    /// Accept, with TLS or without, until the value is dropped.
    ///
    /// # Errors
    /// When the listener has no address.
    pub(super) fn new(listener: TcpListener, bounds: Bounds, tls: Option<Tls>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (ready, accepted) = mpsc::channel(1);
        tokio::spawn(Door { bounds, tls, places: Arc::default(), ready }.accept(listener));
        Ok(Self { accepted, address })
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

impl axum::serve::Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.accepted.recv().await {
            Some(connection) => {
                let address = connection.peer.address;
                (connection, address)
            }
            // The runtime is going down.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Where connections come in.
struct Door {
    bounds: Bounds,
    tls: Option<Tls>,
    places: Arc<Places>,
    ready: mpsc::Sender<Connection>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.ready.closed() => return,
            };
            match accepted {
                Ok((tcp, address)) => self.admit(tcp, address).await,
                Err(error) if is_of_one_connection(&error) => {}
                // Such as too many open files: what is full may empty.
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for now");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    async fn admit(&self, tcp: TcpStream, address: SocketAddr) {
        let place = match Place::take(&self.places, address.ip(), &self.bounds) {
            Ok(place) => place,
            Err(bound) => return tracing::warn!(%address, "connection refused: {bound} is reached"),
        };
        // Small messages must not wait for each other; a connection that is already gone fails later anyway.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%address, %error, "TCP_NODELAY not set");
        }
        let deadline = Instant::now() + self.bounds.handshake;
        let (ready, idle) = (self.ready.clone(), self.bounds.idle);
        let Some(tls) = &self.tls else {
            let connection = Connection::plain(tcp, address, place, deadline, idle);
            return drop(ready.send(connection).await);
        };
        let acceptor = TlsAcceptor::from(tls.load_full());
        tokio::spawn(async move {
            let handshake = acceptor.accept(tcp).into_fallible();
            let failure = match tokio::time::timeout_at(deadline, handshake).await {
                Ok(Ok(tls)) => {
                    let connection = Connection::encrypted(tls, address, place, deadline, idle);
                    return drop(ready.send(connection).await);
                }
                Ok(Err((error, tcp))) => {
                    let_read(tcp).await;
                    error.to_string()
                }
                Err(_) => "not finished in time (limits.handshake_timeout_ms)".to_owned(),
            };
            tracing::info!(%address, "TLS handshake failed: {failure}");
        });
    }
}

/// Errors of a connection that was gone before it was accepted; the next one is there at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Close a connection so that its client can read the alert: closed at once with something unread, the system would throw it away.
async fn let_read(mut tcp: TcpStream) {
    let close = async {
        tcp.shutdown().await?;
        let mut unread = [0; 4096];
        while tcp.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    drop(tokio::time::timeout(LAST_ALERT_WAIT, close).await);
}

/// The connections there are.
#[derive(Debug, Default)]
struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_peer: HashMap<IpAddr, usize>,
}

/// The place of a connection among those allowed; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

/// What counts as one address: with IPv6 a host may have all of a /64.
fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Place {
    /// Take one, or say which bound is reached.
    fn take(places: &Arc<Places>, peer: IpAddr, bounds: &Bounds) -> Result<Self, &'static str> {
        let peer = host(peer);
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= bounds.connections_max {
            return Err("the most connections at once");
        }
        let of_peer = taken.of_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= bounds.connections_per_peer_max {
            return Err("the most connections of one address");
        }
        taken.all += 1;
        taken.of_peer.insert(peer, of_peer + 1);
        Ok(Self { places: Arc::clone(places), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        match taken.of_peer.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.of_peer.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_the_places_of_others() {
        let bounds = Bounds {
            connections_max: 3,
            connections_per_peer_max: 2,
            handshake: Duration::from_secs(1),
            idle: None,
        };
        let places = Arc::<Places>::default();
        let take = |address: &str| Place::take(&places, address.parse().unwrap(), &bounds);
        let first = take("10.0.0.1").unwrap();
        let _second = take("::ffff:10.0.0.1").unwrap();
        assert_eq!(take("10.0.0.1").unwrap_err(), "the most connections of one address");
        let _third = take("10.0.0.2").unwrap();
        assert_eq!(take("10.0.0.3").unwrap_err(), "the most connections at once");
        drop(first);
        let again = take("10.0.0.1").unwrap();
        drop((again, _second, _third));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.all, taken.of_peer.len()), (0, 0));
    }
}
