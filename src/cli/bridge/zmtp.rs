//! The client's side of ZMTP 3.0 (rfc.zeromq.org/spec/23), as far as a subscriber and a requester over TCP need it: NULL mechanism, no curve.
//!
//! Our own, because what comes from the network has to be bounded before memory is taken for it, and a rig that starts again has to be met
//! again within a second; the crates that speak it reserve whatever a peer says a frame is long.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Largest frame taken: a block of a second of one channel at 1 MHz.
pub(crate) const FRAME_BYTES_MAX: usize = 4 << 20;
/// Frames of a message that are kept; a longer one is as wrong as one of this length.
pub(crate) const PARTS_MAX: usize = 8;
/// Frames of a message after which the peer is no longer listened to.
const PARTS_LONGEST: usize = 1024;
/// How long a peer may take to shake hands.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);

/// A connection over which nothing has come for so long is probed.
const PROBE_AFTER: Duration = Duration::from_secs(5);
/// Pause between probes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Probes without an answer after which the connection is broken.
const PROBES: u32 = 5;

const GREETING_BYTES: usize = 64;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Why a peer is not listened to (any longer).
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZmtpError {
    /// The connection does not come about, or broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else than ZeroMQ answers there.
    #[error("what answers there is not ZeroMQ ({0})")]
    NotZmq(&'static str),
    /// A ZeroMQ socket of another kind.
    #[error("the ZeroMQ socket there is of type {found}, expected {expected}")]
    WrongSocket { found: String, expected: &'static str },
    /// A frame or message that is too large to be what is expected.
    #[error("a frame of {bytes} bytes came, expected at most {FRAME_BYTES_MAX}")]
    FrameTooLarge { bytes: u64 },
    /// A message of too many frames.
    #[error("a message of more than {PARTS_LONGEST} frames came")]
    TooManyParts,
    /// Nobody shook hands.
    #[error("no handshake within {} s", HANDSHAKE_WAIT.as_secs())]
    Timeout,
}

/// What a socket of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Hears everything of a publisher.
    Subscriber,
    /// Asks and is answered.
    Requester,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Subscriber => "SUB",
            Self::Requester => "REQ",
        }
    }

    /// The kinds of socket that go with it.
    fn peers(self) -> (&'static str, &'static str) {
        match self {
            Self::Subscriber => ("PUB", "XPUB"),
            Self::Requester => ("REP", "ROUTER"),
        }
    }
}

/// A connection to a ZeroMQ socket.
pub(crate) struct Connection<S> {
    stream: BufReader<S>,
}

/// Let the connection break by itself when the other end has gone without a word: a cable was pulled, the power failed.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let keepalive =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(PROBE_AFTER + PROBES * PROBE_EVERY))?;
    Ok(())
}

impl Connection<TcpStream> {
    /// Connect to `host:port` and shake hands; a subscriber hears every topic from then on.
    pub(crate) async fn open(host_and_port: &str, kind: Kind) -> Result<Self, ZmtpError> {
        let work = async {
            let stream = TcpStream::connect(host_and_port).await?;
            stream.set_nodelay(true)?;
            notice_silence(&stream)?;
            Self::shake_hands(stream, kind).await
        };
        tokio::time::timeout(HANDSHAKE_WAIT, work).await.map_err(|_| ZmtpError::Timeout)?
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Shake hands over a stream that has just been opened.
    async fn shake_hands(stream: S, kind: Kind) -> Result<Self, ZmtpError> {
        let mut connection = Self { stream: BufReader::with_capacity(64 << 10, stream) };
        let mut greeting = [0u8; GREETING_BYTES];
        greeting[0] = 0xff;
        greeting[8] = 1;
        greeting[9] = 0x7f;
        greeting[10] = 3;
        greeting[12..16].copy_from_slice(b"NULL");
        connection.stream.write_all(&greeting).await?;
        let mut theirs = [0u8; GREETING_BYTES];
        connection.stream.read_exact(&mut theirs[..10]).await?;
        if theirs[0] != 0xff || theirs[9] & 1 == 0 {
            return Err(ZmtpError::NotZmq("no greeting"));
        }
        connection.stream.read_exact(&mut theirs[10..]).await?;
        if theirs[10] < 3 {
            return Err(ZmtpError::NotZmq("a protocol older than ZMTP 3.0"));
        }
        if &theirs[12..17] != b"NULL\0" {
            return Err(ZmtpError::NotZmq("it asks for authentication"));
        }
        let mut ready = Vec::from(*b"\x05READY\x0bSocket-Type\x00\x00\x00\x03");
        ready.extend_from_slice(kind.name().as_bytes());
        if kind == Kind::Requester {
            ready.extend_from_slice(b"\x08Identity\x00\x00\x00\x00");
        }
        connection.write_frame(COMMAND, &ready).await?;
        let (flags, body) = connection.read_frame().await?;
        let found = (flags & COMMAND != 0).then(|| socket_type(&body)).flatten();
        let found = found.ok_or(ZmtpError::NotZmq("no READY"))?;
        let (one, other) = kind.peers();
        if found != one && found != other {
            return Err(ZmtpError::WrongSocket { found, expected: one });
        }
        if kind == Kind::Subscriber {
            connection.write_frame(0, b"\x01").await?;
        }
        Ok(connection)
    }

    /// The next message, frame by frame; of one of many frames only the first [`PARTS_MAX`].
    pub(crate) async fn receive(&mut self) -> Result<Vec<Vec<u8>>, ZmtpError> {
        let mut parts = Vec::with_capacity(3);
        let mut count = 0;
        loop {
            let (flags, body) = self.read_frame().await?;
            if flags & COMMAND != 0 {
                self.obey(&body).await?;
                continue;
            }
            count += 1;
            if count > PARTS_LONGEST {
                return Err(ZmtpError::TooManyParts);
            }
            if parts.len() < PARTS_MAX {
                parts.push(body);
            }
            if flags & MORE == 0 {
                return Ok(parts);
            }
        }
    }

    /// Ask and wait for the answer; empty when it has no body.
    pub(crate) async fn ask(&mut self, question: &[u8]) -> Result<Vec<u8>, ZmtpError> {
        self.write_frame(MORE, b"").await?;
        self.write_frame(0, question).await?;
        Ok(self.receive().await?.into_iter().nth(1).unwrap_or_default())
    }

    /// A ping is answered, with what it brought.
    async fn obey(&mut self, command: &[u8]) -> Result<(), ZmtpError> {
        if let Some(rest) = command.strip_prefix(b"\x04PING") {
            let mut pong = Vec::from(*b"\x04PONG");
            pong.extend_from_slice(
                rest.get(2..)
                    .unwrap_or_default()
                    .get(..16.min(rest.len().saturating_sub(2)))
                    .unwrap_or_default(),
            );
            self.write_frame(COMMAND, &pong).await?;
        }
        Ok(())
    }

    async fn read_frame(&mut self) -> Result<(u8, Vec<u8>), ZmtpError> {
        let flags = self.stream.read_u8().await?;
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(ZmtpError::NotZmq("a frame with unknown flags"));
        }
        let bytes = match flags & LONG {
            0 => u64::from(self.stream.read_u8().await?),
            _ => self.stream.read_u64().await?,
        };
        let length = usize::try_from(bytes).ok().filter(|&length| length <= FRAME_BYTES_MAX);
        let mut body = vec![0; length.ok_or(ZmtpError::FrameTooLarge { bytes })?];
        self.stream.read_exact(&mut body).await?;
        Ok((flags, body))
    }

    async fn write_frame(&mut self, flags: u8, body: &[u8]) -> Result<(), ZmtpError> {
        let mut frame = Vec::with_capacity(9 + body.len());
        match u8::try_from(body.len()) {
            Ok(short) => frame.extend_from_slice(&[flags, short]),
            Err(_) => {
                frame.push(flags | LONG);
                frame.extend_from_slice(&(body.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(body);
        self.stream.write_all(&frame).await?;
        Ok(self.stream.flush().await?)
    }
}

/// The kind of socket that a READY command tells of.
fn socket_type(command: &[u8]) -> Option<String> {
    let mut rest = command.strip_prefix(b"\x05READY")?;
    while let Some((&length, after)) = rest.split_first() {
        let (name, after) = after.split_at_checked(usize::from(length))?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (value, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return String::from_utf8(value.to_vec()).ok();
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a publisher sends first, then `rest`; what a subscriber makes of it.
    async fn heard(rest: &[u8]) -> Result<Vec<Vec<u8>>, ZmtpError> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let mut sent = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
        sent.extend_from_slice(b"NULL");
        sent.resize(GREETING_BYTES, 0);
        let ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB";
        sent.extend_from_slice(&[COMMAND, ready.len() as u8]);
        sent.extend_from_slice(ready);
        sent.extend_from_slice(rest);
        theirs.write_all(&sent).await.unwrap();
        let mut connection = Connection::shake_hands(ours, Kind::Subscriber).await?;
        connection.receive().await
    }

    #[tokio::test]
    async fn a_message_of_several_frames_comes_as_it_was_sent() {
        let parts = heard(b"\x01\x05DATA\0\x03\0\0\0\0\0\0\0\x02{}\x00\x00").await.unwrap();
        assert_eq!(parts, [b"DATA\0".to_vec(), b"{}".to_vec(), vec![]]);
    }

    #[tokio::test]
    async fn a_ping_in_between_is_no_message() {
        let parts = heard(b"\x04\x07\x04PING\x00\x0a\x00\x01x").await.unwrap();
        assert_eq!(parts, [b"x".to_vec()]);
    }

    #[tokio::test]
    async fn a_frame_of_absurd_size_takes_no_memory() {
        for length in [FRAME_BYTES_MAX as u64 + 1, 1 << 40, u64::MAX] {
            let mut frame = vec![LONG];
            frame.extend_from_slice(&length.to_be_bytes());
            let error = heard(&frame).await.unwrap_err();
            assert!(matches!(error, ZmtpError::FrameTooLarge { bytes } if bytes == length), "{error}");
        }
    }

    #[tokio::test]
    async fn a_message_without_end_is_given_up() {
        let frames: Vec<u8> = [MORE, 0].repeat(PARTS_LONGEST + 1);
        assert!(matches!(heard(&frames).await, Err(ZmtpError::TooManyParts)));
    }

    #[tokio::test]
    async fn other_servers_are_told_apart() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        let error = Connection::shake_hands(ours, Kind::Subscriber).await.err().unwrap();
        assert!(matches!(error, ZmtpError::NotZmq(_)), "{error}");
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_noticed_by_the_system() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        notice_silence(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(10)));
    }
}
