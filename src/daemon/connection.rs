//! One connection, encrypted or not, that ends when its client does nothing with it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::connections::Place;
use super::security::Calls;

/// Bytes with which a connection of HTTP/2 begins; who has sent as many speaks to us.
const PREFACE_BYTES: usize = 24;

/// A connection, and its place among those allowed.
pub(super) struct Connection {
    pub(super) peer: Peer,
    io: Io,
    /// How many bytes of the beginning are still to come.
    preface_bytes: usize,
    idle: Option<Duration>,
    /// When to look next whether it is used.
    look: Pin<Box<Sleep>>,
    /// Given back with the connection.
    _place: Place,
}

/// Who is at the other end, for each call on the connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Where from.
    pub(super) address: SocketAddr,
    /// The calls that are open.
    pub(super) calls: Arc<Calls>,
}

enum Io {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// One without TLS, of which the first bytes must come before the deadline.
    pub(super) fn plain(
        tcp: TcpStream,
        address: SocketAddr,
        place: Place,
        deadline: Instant,
        idle: Option<Duration>,
    ) -> Self {
        Self::new(Io::Plain(tcp), address, place, deadline, idle)
    }

    /// One with TLS, of which the first bytes must come before the deadline.
    pub(super) fn encrypted(
        tls: TlsStream<TcpStream>,
        address: SocketAddr,
        place: Place,
        deadline: Instant,
        idle: Option<Duration>,
    ) -> Self {
        Self::new(Io::Encrypted(Box::new(tls)), address, place, deadline, idle)
    }

    fn new(io: Io, address: SocketAddr, place: Place, deadline: Instant, idle: Option<Duration>) -> Self {
        let look = Box::pin(tokio::time::sleep_until(deadline));
        let peer = Peer { address, calls: Calls::new() };
        Self { peer, io, preface_bytes: PREFACE_BYTES, idle, look, _place: place }
    }

    /// Whether it is to end, because its beginning has not come in time or nobody has called for too long. Otherwise the
    /// task is woken when it may be.
    fn poll_unused(&mut self, context: &mut Context<'_>) -> Poll<&'static str> {
        loop {
            std::task::ready!(self.look.as_mut().poll(context));
            if self.preface_bytes > 0 {
                return Poll::Ready("it does not begin (limits.handshake_timeout_ms)");
            }
            let Some(idle) = self.idle else { return Poll::Pending };
            // A call that is open may end at any moment.
            let unused = self.peer.calls.idle_for().unwrap_or(Duration::ZERO);
            if unused >= idle {
                return Poll::Ready("it is not used (limits.idle_timeout_s)");
            }
            self.look.as_mut().reset(Instant::now() + (idle - unused));
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Io {
    fn read(&mut self) -> Pin<&mut (dyn AsyncRead + Send + Unpin)> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp),
            Self::Encrypted(tls) => Pin::new(tls.as_mut()),
        }
    }

    fn write(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp),
            Self::Encrypted(tls) => Pin::new(tls.as_mut()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.io.read().poll_read(context, buffer);
        if read.is_ready() {
            let bytes = buffer.filled().len() - before;
            if self.preface_bytes > 0 {
                self.preface_bytes = self.preface_bytes.saturating_sub(bytes);
                // It has begun: from now on the time without a call counts.
                if let (0, Some(idle)) = (self.preface_bytes, self.idle) {
                    self.look.as_mut().reset(Instant::now() + idle);
                }
            }
            return read;
        }
        // Only with nothing to read, so that a call which has just come in is taken.
        self.poll_unused(context).map(|reason| {
            tracing::info!(address = %self.peer.address, "connection closed: {reason}");
            // As if the client had closed it: HTTP/2 then ends in order.
            Ok(())
        })
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.write().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.write().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.write().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.write().poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Encrypted(tls) => tls.is_write_vectored(),
        }
    }
}
