//! Whether a daemon and we trust each other, and why not.

use std::error::Error;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};
use tonic::transport::Uri;

/// How a client begins HTTP/2: the preface, and settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What is read from the files of the arguments, in PEM.
pub(super) struct Pem {
    /// Authorities that we trust.
    pub(super) ca: Vec<u8>,
    /// Our certificate and its key.
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Pem {
    fn config(&self) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&self.ca) {
            roots.add(authority?)?;
        }
        if roots.is_empty() {
            return Err("no certificate in --ca".into());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// Whether the files can be used.
    pub(super) fn check(&self) -> Result<(), String> {
        self.config().map(drop).map_err(|error| error.to_string())
    }
}

/// Shake hands and wait for the first bytes of HTTP/2. With TLS 1.3 a daemon judges our certificate only after our side
/// of the handshake is over; the calls of a channel then fail without saying why, if not by luck.
pub(super) async fn probe(uri: &Uri, pem: &Pem) -> io::Result<()> {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(bare).map_err(|_| io::Error::other("not a name of a machine"))?;
    let config = pem.config().map_err(io::Error::other)?;
    let tcp = TcpStream::connect(format!("{host}:{}", uri.port_u16().unwrap_or(443))).await?;
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    // Who does not let us in may be gone already; what it said is still to be read.
    drop(tls.write_all(PREFACE).await);
    drop(tls.flush().await);
    match tls.read(&mut [0; 16]).await? {
        0 => Err(io::Error::other("connection closed")),
        _ => Ok(()),
    }
}

/// Whether what listens there answers the beginning of HTTP/2 with an alert of TLS. Asked on a connection of its own: on that of the calls the
/// alert is lost where the other side is quicker to close than we are to read.
pub(super) async fn speaks_tls(uri: &Uri) -> bool {
    const ALERT: u8 = 21;
    let host = uri.host().unwrap_or_default();
    let answer = async {
        let mut tcp = TcpStream::connect(format!("{host}:{}", uri.port_u16().unwrap_or(80))).await.ok()?;
        tcp.write_all(PREFACE).await.ok()?;
        tcp.read_u8().await.ok()
    };
    answer.await == Some(ALERT)
}

/// Why a connection failed because of encryption or certificates, and what to do; `None` when it failed for another reason.
pub(crate) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let causes = causes(error);
    if let Some(tls) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return Some(tls_refusal(tls));
    }
    // Some layers keep of an error no more than its text.
    let says = |text: &str| causes.iter().any(|cause| cause.to_string().contains(text));
    if says("received fatal alert") {
        let alert = causes.iter().map(ToString::to_string).find(|text| text.contains("received fatal alert"));
        return alert.map(|alert| alert_refusal(&alert));
    }
    None
}

/// An error and what is inside it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        // What an error of the system wraps is not its source.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    causes
}

fn tls_refusal(error: &rustls::Error) -> String {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "its certificate is not signed by an authority in --ca".to_owned()
        }
        rustls::Error::InvalidCertificate(C::NotValidForNameContext { presented, .. }) => {
            format!("its certificate is not for this name but for {}", names(presented))
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: is the clock right?".to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => format!("its certificate cannot be used ({reason})"),
        rustls::Error::InvalidMessage(_) => "what listens there does not speak TLS: use http://".to_owned(),
        error => alert_refusal(&error.to_string()),
    }
}

/// Names of a certificate as rustls shows them, such as `DnsName("rig")`, for people.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| match name.split_once('(') {
        Some((_, name)) => name.trim_end_matches(')').trim_matches('"').to_owned(),
        None => name.clone(),
    };
    let names: Vec<String> = presented.iter().map(bare).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn alert_refusal(alert: &str) -> String {
    let says = |name: &str| alert.to_lowercase().contains(name);
    if says("certificaterequired") {
        return "it asks for a certificate: --client-certificate FILE --client-key FILE".to_owned();
    }
    let refused =
        ["unknownca", "badcertificate", "decrypterror", "certificateexpired", "unsupportedcertificate"];
    if refused.into_iter().any(says) {
        return format!("it does not accept --client-certificate ({alert})");
    }
    format!("TLS failed ({alert})")
}
