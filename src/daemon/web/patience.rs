//! Connections of browsers that end when nothing moves on them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::serve::Listener;
use tokio_io_timeout::TimeoutStream;

use crate::daemon::connections::{Connection, Connections};

/// Longest time between two requests; browsers open connections that they then hardly use.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Longest time that nothing of an answer is read.
const UNREAD_MAX: Duration = Duration::from_secs(20);

/// Connections, each with these bounds.
pub(super) struct Patient(pub(super) Connections);

impl Listener for Patient {
    type Io = Pin<Box<TimeoutStream<Connection>>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (connection, address) = self.0.accept().await;
        let mut connection = TimeoutStream::new(connection);
        connection.set_read_timeout(Some(IDLE_MAX));
        connection.set_write_timeout(Some(UNREAD_MAX));
        (Box::pin(connection), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.0)
    }
}
