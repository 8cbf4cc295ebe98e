//! Being let in by a daemon: which one, with which certificates and token.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Request, Status};

use super::error::{CliError, root_cause};
use super::trust::Pem;

/// Where the daemon listens unless told otherwise.
const ADDRESS_DEFAULT: &str = "http://127.0.0.1:50051";

/// Which daemon to talk to, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConnectArgs {
    /// Address of the daemon: http://host:port, or https://host:port with TLS
    #[arg(long, value_name = "URL", default_value = ADDRESS_DEFAULT, env = "GLAUBER_CONNECT",
          value_parser = super::values::parse_address)]
    pub(crate) connect: String,
    #[command(flatten)]
    credentials: CredentialArgs,
}

/// Whom to trust, and as whom to come.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CredentialArgs {
    /// Authorities that the daemon's certificate may be signed by (PEM); needed for https
    #[arg(long, value_name = "FILE", env = "GLAUBER_CA")]
    ca: Option<PathBuf>,
    /// Our certificate, for a daemon that asks for one (PEM)
    #[arg(long, value_name = "FILE", env = "GLAUBER_CLIENT_CERTIFICATE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// The private key of our certificate (PEM)
    #[arg(long, value_name = "FILE", env = "GLAUBER_CLIENT_KEY", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// File with the token, for a daemon that asks for one
    #[arg(long, value_name = "FILE", env = "GLAUBER_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl CredentialArgs {
    /// With these to the daemon at that address.
    pub(crate) fn at(self, address: &str) -> ConnectArgs {
        ConnectArgs { connect: address.to_owned(), credentials: self }
    }
}

impl ConnectArgs {
    /// A daemon of this machine that asks for nothing.
    pub(crate) fn local(address: &str) -> Self {
        CredentialArgs::default().at(address)
    }

    /// Where to connect, and the certificates for it when that is encrypted.
    pub(super) fn endpoint(&self) -> Result<(Endpoint, Option<Pem>), CliError> {
        let unreachable = |error: tonic::transport::Error| CliError::NoDaemon {
            address: self.connect.clone(),
            reason: root_cause(&error),
        };
        let endpoint = Endpoint::from_shared(self.connect.clone()).map_err(unreachable)?;
        if !self.is_encrypted() {
            return Ok((endpoint, None));
        }
        let Some(ca) = &self.credentials.ca else {
            let problem = "an https address needs the authority that signed the daemon's certificate \
                           (for a public one, the system's list, such as /etc/ssl/certs/ca-certificates.crt)";
            return Err(CliError::Argument { argument: "--ca", problem: problem.to_owned() });
        };
        let mut pem = Pem { ca: read(ca)?, identity: None };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&pem.ca));
        if let (Some(certificate), Some(key)) =
            (&self.credentials.client_certificate, &self.credentials.client_key)
        {
            let (certificate, key) = (read(certificate)?, read(key)?);
            tls = tls.identity(Identity::from_pem(&certificate, &key));
            pem.identity = Some((certificate, key));
        }
        let unusable = |problem: String| {
            let argument = if self.credentials.client_key.is_some() {
                "--ca, --client-certificate, --client-key"
            } else {
                "--ca"
            };
            CliError::Argument { argument, problem: format!("the files cannot be used ({problem})") }
        };
        pem.check().map_err(unusable)?;
        let endpoint = endpoint.tls_config(tls).map_err(|error| unusable(root_cause(&error)))?;
        Ok((endpoint, Some(pem)))
    }

    /// The arguments that connect to the same daemon again, each after a space; none for the daemon that is connected to anyway.
    pub(crate) fn again(&self) -> String {
        let address = (self.connect != ADDRESS_DEFAULT).then(|| format!(" --connect {}", self.connect));
        let files = [
            ("--ca", &self.credentials.ca),
            ("--client-certificate", &self.credentials.client_certificate),
            ("--client-key", &self.credentials.client_key),
            ("--token-file", &self.credentials.token_file),
        ];
        let files = files
            .into_iter()
            .filter_map(|(name, file)| file.as_ref().map(|file| format!(" {name} {}", file.display())));
        address.into_iter().chain(files).collect()
    }

    /// What makes calls with our token.
    pub(super) fn bearer(&self) -> Result<Bearer, CliError> {
        let Some(path) = &self.credentials.token_file else { return Ok(Bearer { header: None }) };
        let wrong = |problem: &str| CliError::Argument {
            argument: "--token-file",
            problem: format!("{}: {problem}", path.display()),
        };
        if !self.is_encrypted() && !self.is_loopback() {
            return Err(wrong("a token is not sent to another machine without encryption: use https"));
        }
        let text = String::from_utf8(read(path)?).map_err(|_| wrong("not a text"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let [line] = lines.collect::<Vec<_>>()[..] else {
            return Err(wrong("expected one line, the token or 'name:token'"));
        };
        // A token has no colon, so that a line of the daemon's file can be used as it is.
        let token = line.rsplit(':').next().unwrap_or(line).trim();
        let header = format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
        let mut header = header.map_err(|_| wrong("a token cannot contain such characters"))?;
        header.set_sensitive(true);
        Ok(Bearer { header: Some(header) })
    }

    fn is_encrypted(&self) -> bool {
        self.connect.starts_with("https:")
    }

    fn is_loopback(&self) -> bool {
        let uri = self.connect.parse::<Uri>().unwrap_or_default();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::Io { doing: "reading", path: path.to_path_buf(), source })
}

/// Adds our token to each call, when we have one.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    header: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(connect: &str, token: &str) -> (ConnectArgs, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token).unwrap();
        let token_file = Some(file.path().to_owned());
        (CredentialArgs { token_file, ..CredentialArgs::default() }.at(connect), file)
    }

    #[test]
    fn a_token_is_the_line_of_its_file_with_or_without_a_name() {
        for text in ["abc", "# mine\nabc\n", "rig-1:abc\n", " rig-1 : abc"] {
            let (args, _file) = args("http://127.0.0.1:1", text);
            assert_eq!(args.bearer().unwrap().header.unwrap(), "Bearer abc", "{text:?}");
        }
        for text in ["", "#abc", "a:b\nc:d", "a\u{1}b"] {
            let (args, _file) = args("http://127.0.0.1:1", text);
            let problem = args.bearer().unwrap_err().to_string();
            assert!(problem.starts_with("--token-file: "), "{problem}");
        }
    }

    #[test]
    fn a_token_leaves_this_machine_only_encrypted() {
        for address in ["http://localhost:1", "http://[::1]:1", "http://127.1.2.3:1", "https://rig:1"] {
            let (args, _file) = args(address, "abc");
            assert!(args.bearer().is_ok(), "{address}");
        }
        for address in ["http://rig:1", "http://10.0.0.1:1", "http://localhost.rig:1"] {
            let (args, _file) = args(address, "abc");
            assert!(args.bearer().unwrap_err().to_string().contains("use https"), "{address}");
        }
    }
}
