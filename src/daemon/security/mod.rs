//! Who may talk to the daemon: TLS, client certificates and tokens, read from files at start and again when asked.
//!
//! What is configured is required: with `server.tls.client_ca` a client needs a certificate, with `server.token_file` a token, with
//! both of them both. A token is asked for with each call; health checks need none, because what runs them rarely can keep a secret.

mod config;
mod error;
mod gate;
mod tls;
mod tokens;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls;

pub use config::TlsConfig;
pub use error::SecurityError;
pub(super) use gate::{Calls, GateLayer};
use tokens::Tokens;

use super::config::ServerConfig;

/// Most bytes of a file of certificates, a key or tokens.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What connections and calls are checked against; may be replaced while the daemon runs.
#[derive(Debug)]
pub(super) struct Security {
    config: ServerConfig,
    /// How TLS is spoken; `None` without TLS.
    pub(super) tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    /// Tokens of which a call needs one; `None` when it needs none.
    pub(super) tokens: Option<Arc<ArcSwap<Tokens>>>,
}

impl Security {
    /// Read the files that the configuration names.
    ///
    /// # Errors
    /// [`SecurityError`] naming the key and what is wrong with its file.
    pub(super) fn load(config: &ServerConfig) -> Result<Self, SecurityError> {
        let shared = |tls| Arc::new(ArcSwap::from_pointee(tls));
        let tls = if config.tls.is_on() { Some(shared(tls::load(&config.tls)?)) } else { None };
        let tokens = match config.requires_tokens() {
            true => Some(Arc::new(ArcSwap::from_pointee(Tokens::load(&config.token_file)?))),
            false => None,
        };
        Ok(Self { config: config.clone(), tls, tokens })
    }

    /// Read the files again: connections and calls from now on are checked against them, those under way go on.
    ///
    /// # Errors
    /// [`SecurityError`]; nothing is changed then.
    pub(super) fn reload(&self) -> Result<(), SecurityError> {
        let new = Self::load(&self.config)?;
        if let (Some(current), Some(new)) = (&self.tls, new.tls) {
            current.store(new.load_full());
        }
        if let (Some(current), Some(new)) = (&self.tokens, new.tokens) {
            current.store(new.load_full());
        }
        Ok(())
    }
}

/// The content of a file, which is not larger than such a file can sensibly be.
fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, SecurityError> {
    let unreadable = |source| SecurityError::Unreadable { key, path: path.to_path_buf(), source };
    // Before it is opened: that of a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("not a file")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("larger than 1 MiB")));
    }
    Ok(content)
}

/// Warn of a secret that every account of the machine can read.
fn warn_when_readable_by_all(key: &'static str, path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let path = path.display();
        tracing::warn!("{key} = {path} is open to every account of this machine: chmod 600 {path}");
    }
}
