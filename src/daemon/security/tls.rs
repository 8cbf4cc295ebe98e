use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::{SecurityError, TlsConfig};

const CERTIFICATE: &str = "server.tls.certificate";
const KEY: &str = "server.tls.key";
const CLIENT_CA: &str = "server.tls.client_ca";

/// Time before its end at which a certificate is warned of.
const EXPIRES_SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// How TLS 1.2 and 1.3 are spoken with these certificates, for HTTP/2 alone.
pub(super) fn load(config: &TlsConfig) -> Result<rustls::ServerConfig, SecurityError> {
    let chain = certificates(CERTIFICATE, &config.certificate)?;
    let key = private_key(&config.key)?;
    check_validity(&config.certificate, &chain[0], SystemTime::now())?;
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => {
            SecurityError::KeyMismatch { key: config.key.clone(), certificate: config.certificate.clone() }
        }
        error => SecurityError::Unusable { path: config.certificate.clone(), reason: error.to_string() },
    };
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = if config.requires_client_certificates() {
        let wrong = |found| SecurityError::Content {
            key: CLIENT_CA,
            path: config.client_ca.clone(),
            found,
            expected: "certificates of authorities, in PEM",
        };
        let mut roots = rustls::RootCertStore::empty();
        for authority in certificates(CLIENT_CA, &config.client_ca)? {
            roots.add(authority).map_err(|error| wrong(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(error.to_string()))?)
    } else {
        builder.with_no_client_auth()
    };
    let mut tls = builder.with_single_cert(chain, key).map_err(unusable)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}

/// All certificates of a file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let wrong = |found: String| SecurityError::Content {
        key,
        path: path.to_path_buf(),
        found,
        expected: "certificates in PEM ('-----BEGIN CERTIFICATE-----')",
    };
    let content = super::read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    let found = found.map_err(|error| wrong(format!("broken PEM ({error})")))?;
    if found.is_empty() { Err(wrong("no certificate".to_owned())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, SecurityError> {
    let content = super::read(KEY, path)?;
    super::warn_when_readable_by_all(KEY, path);
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| {
        let encrypted = content.windows(9).any(|text| text == b"ENCRYPTED");
        let found = match error {
            _ if encrypted => "a key that is encrypted with a passphrase".to_owned(),
            rustls::pki_types::pem::Error::NoItemsFound => "no private key".to_owned(),
            // Not the error's own words: they might quote the file.
            _ => "broken PEM".to_owned(),
        };
        let expected = "an unencrypted private key in PEM ('-----BEGIN PRIVATE KEY-----')";
        SecurityError::Content { key: KEY, path: path.to_path_buf(), found, expected }
    })
}

/// Refuse a certificate that has expired, since every client would. One that is not valid yet is warned of only: after a loss
/// of power the clock may be behind.
fn check_validity(
    path: &Path,
    certificate: &CertificateDer<'_>,
    now: SystemTime,
) -> Result<(), SecurityError> {
    let parsed = Certificate::from_der(certificate).map_err(|error| SecurityError::Content {
        key: CERTIFICATE,
        path: path.to_path_buf(),
        found: format!("a certificate that cannot be read ({error})"),
        expected: "a certificate of X.509",
    })?;
    let validity = parsed.tbs_certificate().validity();
    let text = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    if until < now {
        return Err(SecurityError::Expired { path: path.to_path_buf(), until: text(until) });
    }
    let path = path.display();
    if from > now {
        tracing::warn!("{CERTIFICATE} = {path} is not valid before {}: is the clock right?", text(from));
    } else if until < now + EXPIRES_SOON {
        tracing::warn!("{CERTIFICATE} = {path} expires at {}", text(until));
    }
    Ok(())
}
