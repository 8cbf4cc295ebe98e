//! Who is let in, and what those who are not, or do nothing, can do to the others.

use std::time::Duration;

use glauber::daemon::{DaemonConfig, RunningDaemon, StartError, start};
use glauber::proto::v1;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codegen::http;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use super::rig::{Producer, Rig, assert_status, test_config};
use crate::certificates::{Certificates, read};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Long enough for a machine with better things to do.
const PATIENCE: Duration = Duration::from_secs(60);

fn tls_config(certificates: &Certificates) -> DaemonConfig {
    let mut config = test_config();
    config.server.tls.certificate = certificates.path("server.pem");
    config.server.tls.key = certificates.path("server.key");
    config
}

fn token_config(certificates: &Certificates, lines: &str) -> DaemonConfig {
    let mut config = test_config();
    config.server.token_file = certificates.write("tokens", lines);
    config
}

/// Trust an authority; with the certificate of a client when one is named.
fn client_tls(certificates: &Certificates, ca: &str, client: Option<&str>) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&certificates.path(ca))));
    let Some(name) = client else { return tls };
    let identity = Identity::from_pem(
        read(&certificates.path(&format!("{name}.pem"))),
        read(&certificates.path(&format!("{name}.key"))),
    );
    tls.identity(identity)
}

async fn connect_tls(daemon: &RunningDaemon, tls: ClientTlsConfig) -> Result<Channel, String> {
    let address = format!("https://{}", daemon.address());
    let endpoint = Endpoint::new(address).unwrap().tls_config(tls).unwrap();
    endpoint.connect().await.map_err(|error| format!("{error:?}"))
}

async fn list(channel: Channel, authorization: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(v1::ListSessionsRequest {});
    if let Some(text) = authorization {
        request.metadata_mut().insert("authorization", MetadataValue::try_from(text).unwrap());
    }
    SessionServiceClient::new(channel).list_sessions(request).await.map(drop)
}

/// Connect and make a call; what went wrong, wherever it did.
async fn attempt(daemon: &RunningDaemon, tls: ClientTlsConfig) -> Result<(), String> {
    let channel = connect_tls(daemon, tls).await?;
    list(channel, None).await.map_err(|status| format!("{status:?}"))
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_are_let_in() {
    let (own, other) = (Certificates::new(), Certificates::new());
    let mut config = tls_config(&own);
    config.server.tls.client_ca = own.path("ca.pem");
    // Allowed because of that.
    config.server.listen = ([0, 0, 0, 0], 0).into();
    let daemon = start(config).await.unwrap();
    let address = format!("https://127.0.0.1:{}", daemon.address().port());
    let call = async |tls: ClientTlsConfig| {
        let endpoint = Endpoint::new(address.clone()).unwrap().tls_config(tls).unwrap();
        let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
        list(channel, None).await.map_err(|status| format!("{status:?}"))
    };
    assert_eq!(call(client_tls(&own, "ca.pem", Some("client"))).await, Ok(()));
    let refused = call(client_tls(&own, "ca.pem", None)).await.unwrap_err();
    assert!(refused.contains("CertificateRequired"), "{refused}");

    // A client of another authority, who trusts this daemon.
    let ca = other.write("own_ca.pem", &read(&own.path("ca.pem")));
    assert!(ca.exists());
    let refused = call(client_tls(&other, "own_ca.pem", Some("client"))).await.unwrap_err();
    assert!(refused.contains("received fatal alert"), "{refused}");
    // A daemon of another authority, as the client sees it.
    let refused = call(client_tls(&other, "ca.pem", Some("client"))).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    // None of them did anything to those that are let in.
    assert_eq!(call(client_tls(&own, "ca.pem", Some("client"))).await, Ok(()));
}

#[tokio::test]
async fn without_a_token_nothing_but_health_is_answered() {
    let certificates = Certificates::new();
    let config = token_config(&certificates, &format!("# rigs\nrig-1:{TOKEN}\n"));
    let rig = Rig::with(config).await;
    let right = format!("Bearer {TOKEN}");
    assert!(list(rig.channel.clone(), Some(&right)).await.is_ok());

    let (short, long) = (right[..right.len() - 1].to_owned(), format!("{right}0"));
    let mut answers = Vec::new();
    for wrong in [None, Some("Bearer"), Some(TOKEN), Some(short.as_str()), Some(long.as_str())] {
        let status = list(rig.channel.clone(), wrong).await.unwrap_err();
        assert_status(&status, Code::Unauthenticated, &["valid token"]);
        answers.push(status.message().to_owned());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "an answer tells what was wrong: {answers:?}");

    let mut twice = Request::new(v1::ListSessionsRequest {});
    for token in [right.as_str(), "Bearer other"] {
        twice.metadata_mut().append("authorization", MetadataValue::try_from(token).unwrap());
    }
    let status = SessionServiceClient::new(rig.channel.clone()).list_sessions(twice).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    let mut ingest = IngestServiceClient::new(rig.channel.clone());
    let status = ingest.stream_spikes(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "before anything was sent");

    let reflection = tokio_stream::once(ServerReflectionRequest::default());
    let mut client = ServerReflectionClient::new(rig.channel.clone());
    let status = client.server_reflection_info(reflection).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    let health = HealthCheckRequest { service: "glauber.v1.IngestService".to_owned() };
    HealthClient::new(rig.channel.clone()).check(health).await.unwrap();
}

#[tokio::test]
async fn tokens_and_certificates_can_be_replaced_while_it_runs() {
    let certificates = Certificates::new();
    let mut config = tls_config(&certificates);
    config.server.token_file = certificates.write("tokens", &format!("old:{TOKEN}"));
    let daemon = start(config).await.unwrap();
    let trusting = || client_tls(&certificates, "ca.pem", None);
    let before = connect_tls(&daemon, trusting()).await.unwrap();
    let (old, new) = (format!("Bearer {TOKEN}"), format!("Bearer {}", TOKEN.repeat(2)));
    list(before.clone(), Some(&old)).await.unwrap();

    certificates.write("tokens", "too:short");
    let error = daemon.reload_security().unwrap_err().to_string();
    assert!(error.contains("tokens, line 1: a token shorter than 32 characters"), "{error}");
    list(before.clone(), Some(&old)).await.unwrap();

    certificates.write("tokens", &format!("new:{}", TOKEN.repeat(2)));
    certificates.issue("server", Certificates::params(&["elsewhere"]));
    daemon.reload_security().unwrap();
    assert_eq!(list(before.clone(), Some(&old)).await.unwrap_err().code(), Code::Unauthenticated);
    list(before, Some(&new)).await.unwrap();
    let refused = connect_tls(&daemon, trusting()).await.unwrap_err();
    assert!(refused.contains("elsewhere"), "the new certificate is used: {refused}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_one_clear_error_at_start() {
    let certificates = Certificates::new();
    let mut expired = Certificates::params(&["localhost"]);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    certificates.issue("expired", expired);
    let path = |name: &str| certificates.path(name);
    certificates.write("not.pem", "no PEM");
    certificates.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    certificates.write("broken.pem", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n");
    certificates.write("rubbish.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    type Change<'a> = Box<dyn Fn(&mut DaemonConfig) + 'a>;
    let cases: Vec<(&str, Change<'_>)> = vec![
        (
            "missing.pem cannot be read: No such file",
            Box::new(|c| c.server.tls.certificate = path("missing.pem")),
        ),
        ("not a file", Box::new(|c| c.server.tls.certificate = path("."))),
        ("server.tls.certificate = ", Box::new(|c| c.server.tls.certificate = path("not.pem"))),
        (
            "holds no certificate: expected certificates in PEM",
            Box::new(|c| c.server.tls.certificate = path("server.key")),
        ),
        ("holds broken PEM", Box::new(|c| c.server.tls.certificate = path("broken.pem"))),
        ("a certificate that cannot be read", Box::new(|c| c.server.tls.certificate = path("rubbish.pem"))),
        (
            "has expired: it was valid until 2020-01-01T00:00:00Z",
            Box::new(|c| c.server.tls.certificate = path("expired.pem")),
        ),
        (
            "holds no private key: expected an unencrypted",
            Box::new(|c| c.server.tls.key = path("server.pem")),
        ),
        ("encrypted with a passphrase", Box::new(|c| c.server.tls.key = path("encrypted.key"))),
        (
            "client.key is not the key of the first certificate",
            Box::new(|c| c.server.tls.key = path("client.key")),
        ),
        ("server.tls.client_ca = ", Box::new(|c| c.server.tls.client_ca = path("not.pem"))),
        ("server.tls.client_ca = ", Box::new(|c| c.server.tls.client_ca = path("rubbish.pem"))),
        ("server.token_file = ", Box::new(|c| c.server.token_file = path("missing"))),
        (
            "holds no token: expected 1 to 1024 lines",
            Box::new(|c| c.server.token_file = certificates.write("none", "# none")),
        ),
    ];
    for (expected, change) in cases {
        let mut config = tls_config(&certificates);
        change(&mut config);
        let error = start(config).await.unwrap_err();
        assert!(matches!(error, StartError::Security(_)), "{error}");
        assert!(error.to_string().contains(expected), "'{error}' does not say '{expected}'");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let mut open = token_config(&certificates, &format!("rig:{TOKEN}"));
    open.server.listen = ([0, 0, 0, 0], 0).into();
    let error = start(open).await.unwrap_err();
    assert!(matches!(&error, StartError::Config(error) if error.key == "server.listen"), "{error}");
}

/// Wait until the daemon closes a connection, whatever it sends before.
async fn closed(tcp: &mut TcpStream) {
    let mut bytes = [0; 1024];
    let end = async { while tcp.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the daemon closes the connection");
}

#[tokio::test]
async fn clients_that_are_slow_with_a_handshake_hold_up_nobody() {
    let certificates = Certificates::new();
    let mut config = tls_config(&certificates);
    config.limits.handshake_timeout_ms = 3_000;
    config.limits.connections_max = 21;
    let daemon = start(config).await.unwrap();
    let mut silent = Vec::new();
    for number in 0..20 {
        let mut tcp = TcpStream::connect(daemon.address()).await.unwrap();
        // Half of them begin: the head of a message that never comes.
        if number % 2 == 0 {
            tcp.write_all(&[22, 3, 1, 1, 0, 1]).await.unwrap();
        }
        silent.push(tcp);
    }
    // While they stand there.
    attempt(&daemon, client_tls(&certificates, "ca.pem", None)).await.unwrap();
    for tcp in &mut silent {
        closed(tcp).await;
    }
    // And their places are free again.
    let mut channels = Vec::new();
    for _ in 0..20 {
        let channel = connect_tls(&daemon, client_tls(&certificates, "ca.pem", None)).await.unwrap();
        list(channel.clone(), None).await.unwrap();
        channels.push(channel);
    }
}

#[tokio::test]
async fn a_connection_that_does_not_begin_is_closed() {
    let mut config = test_config();
    config.limits.handshake_timeout_ms = 100;
    let rig = Rig::with(config).await;
    let mut silent = TcpStream::connect(rig.daemon.address()).await.unwrap();
    let mut slow = TcpStream::connect(rig.daemon.address()).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    closed(&mut silent).await;
    closed(&mut slow).await;
}

#[tokio::test]
async fn a_connection_without_a_call_is_closed_and_one_with_a_quiet_stream_is_not() {
    let mut config = test_config();
    config.limits.idle_timeout_s = 1;
    config.limits.connections_max = 2;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let endpoint = Endpoint::new(format!("http://{}", rig.daemon.address())).unwrap();
    let idle = endpoint.connect().await.unwrap();
    list(idle.clone(), None).await.unwrap();
    // A third connection finds a place once the second is closed.
    let third = async {
        loop {
            if let Ok(channel) = endpoint.connect().await
                && list(channel.clone(), None).await.is_ok()
            {
                return channel;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let third = tokio::time::timeout(PATIENCE, third).await.expect("the idle connection is closed");
    // The stream, which is older than that, goes on.
    producer.send(super::rig::pattern(0, 10)).await;
    producer.applied(10).await;
    drop(third);
    // And who was closed connects again by itself.
    let again = async { while list(idle.clone(), None).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("the client connects again");
}

#[tokio::test]
async fn a_stream_that_is_not_opened_ends() {
    let mut config = test_config();
    config.limits.open_timeout_ms = 100;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let (_requests, mut replies) = Producer::raw(&rig.channel).await;
    let status = replies.message().await.unwrap_err();
    assert_status(&status, Code::DeadlineExceeded, &["100 ms", "limits.open_timeout_ms"]);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn too_much_metadata_is_refused() {
    let mut config = test_config();
    config.limits.metadata_bytes_max = 4096;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    list(rig.channel.clone(), Some(&"x".repeat(2000))).await.unwrap();
    list(rig.channel.clone(), Some(&"x".repeat(8000))).await.unwrap_err();
    rig.assert_healthy(&session).await;
}

/// Calls begun and given up at once, which cost their client nothing ("rapid reset").
#[tokio::test]
async fn a_client_that_gives_up_its_calls_at_once_loses_its_connection() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let tcp = TcpStream::connect(rig.daemon.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    let connection = tokio::spawn(connection);
    let attack = async {
        let mut client = client;
        loop {
            // Many at once, so that they are given up before the daemon begins with them.
            for _ in 0..100 {
                let Ok(ready) = client.ready().await else { return };
                client = ready;
                let request = http::Request::post("http://daemon/glauber.v1.SessionService/ListSessions");
                let Ok((_, mut stream)) = client.send_request(request.body(()).unwrap(), false) else {
                    return;
                };
                stream.send_reset(h2::Reason::CANCEL);
            }
            // Let them be sent.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, attack).await.expect("the connection is ended");
    let end = connection.await.unwrap().unwrap_err();
    assert_eq!(end.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM), "{end:?}");
    rig.assert_healthy(&session).await;
}
