use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::daemon::config::{ConfigError, ServerConfig};

/// Encryption, and certificates of clients. Each is the path of a PEM file; empty: none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The daemon's certificate, followed by those between it and its authority; with it and `key`, TLS is on.
    pub certificate: PathBuf,
    /// The private key of `certificate`.
    pub key: PathBuf,
    /// The authorities by one of which the certificate of a client must be signed; with it, a client needs one.
    pub client_ca: PathBuf,
}

impl TlsConfig {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    /// Whether a client needs a certificate.
    #[must_use]
    pub fn requires_client_certificates(&self) -> bool {
        !self.client_ca.as_os_str().is_empty()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let needs = |key: &'static str, set: &'static str| {
            let allowed = format_args!("a PEM file, because {set} is set").to_string();
            ConfigError::new(key, "''", allowed)
        };
        let has_key = !self.key.as_os_str().is_empty();
        match (self.is_on(), has_key, self.requires_client_certificates()) {
            (true, false, _) => Err(needs("server.tls.key", "server.tls.certificate")),
            (false, true, _) => Err(needs("server.tls.certificate", "server.tls.key")),
            (false, false, true) => Err(needs("server.tls.certificate", "server.tls.client_ca")),
            _ => Ok(()),
        }
    }
}

impl ServerConfig {
    /// Whether a call needs a token.
    #[must_use]
    pub fn requires_tokens(&self) -> bool {
        !self.token_file.as_os_str().is_empty()
    }

    /// Others than this machine are let in only encrypted and when they say who they are.
    pub(in crate::daemon) fn check_access(&self) -> Result<(), ConfigError> {
        self.tls.check()?;
        let is_known = self.tls.requires_client_certificates() || self.requires_tokens();
        if self.listen.ip().is_loopback() || (self.tls.is_on() && is_known) {
            return Ok(());
        }
        let allowed = "a loopback address such as 127.0.0.1:50051, or server.tls.certificate and server.tls.key \
                       together with server.tls.client_ca or server.token_file";
        Err(ConfigError::new("server.listen", self.listen, allowed))
    }
}
