use std::io;
use std::path::PathBuf;

/// A file for encryption or access that cannot be used. No message contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// It cannot be read.
    #[error("{key} = {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{key} = {} holds {found}: expected {expected}", path.display())]
    Content {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is in it instead.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// The private key is not that of the certificate.
    #[error(
        "server.tls.key = {} is not the key of the first certificate in server.tls.certificate = {}",
        key.display(),
        certificate.display()
    )]
    KeyMismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
    },
    /// No client would accept the certificate any more.
    #[error("server.tls.certificate = {} has expired: it was valid until {until}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// The end, UTC.
        until: String,
    },
    /// A certificate and key that cannot be used for TLS.
    #[error("server.tls.certificate = {} and its key cannot be used: {reason}", path.display())]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A line of the token file is wrong.
    #[error("server.token_file = {}, line {line}: {problem}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}
