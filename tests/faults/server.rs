//! The daemon as a process of its own, and what is asked of it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use glauber::proto::v1;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use tonic::Status;
use tonic::transport::Channel;

use super::shim::Faults;
use crate::rig::{self, Producer, pattern};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Wait until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < LIMIT, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Where a daemon works: `journal`, `snapshots` and a `log`, and a disk that fails when it is told to.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) faults: Faults,
    /// Whether a watchdog would start the daemon again.
    is_supervised: bool,
}

impl Place {
    /// `None` where no faults can be made.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::below(folder.path())?;
        Some(Self { folder, faults, is_supervised: false })
    }

    /// Let daemons from now on believe that a service manager watches them.
    pub(crate) fn supervise(&mut self) {
        self.is_supervised = true;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path("journal/journal.redb")
    }

    pub(crate) fn folder_of(&self, session_id: &str) -> PathBuf {
        self.path("snapshots").join(session_id)
    }

    pub(crate) fn serve(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .arg("--journal-dir")
            .arg(self.path("journal"))
            .arg("--archive-dir")
            .arg(self.path("snapshots"))
            .args(["--set", "archive.snapshot_interval_s=1"])
            .args(["--set", "server.ack_interval_ms=1"])
            .args(["--set", "defaults.equilibrium_methods=[]"])
            .env_remove("GLAUBER_CONFIG")
            .env_remove("RUST_LOG");
        if self.is_supervised {
            command.env("WATCHDOG_USEC", "100000");
        }
        self.faults.preload(&mut command);
        command
    }

    /// Start a daemon and connect to it.
    pub(crate) async fn start(&self) -> Server {
        self.try_start().await.unwrap_or_else(|| panic!("it did not start: {}", self.log()))
    }

    /// `None` when it refuses to start.
    pub(crate) async fn try_start(&self) -> Option<Server> {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = self.serve().stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut server = Killed(child);
        let mut line = String::new();
        BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: serde_json::Value = serde_json::from_str(&line).ok()?;
        let address = announced["address"].as_str().unwrap().to_owned();
        let channel = Channel::from_shared(address.clone()).unwrap().connect().await.unwrap();
        Some(Server {
            sessions: SessionServiceClient::new(channel.clone()),
            inference: InferenceServiceClient::new(channel.clone()),
            process: server,
            address,
            channel,
        })
    }

    /// The one line of a daemon that does not start.
    pub(crate) fn refusal(&self) -> String {
        let mut child = Killed(self.serve().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let (mut out, mut errors) = (String::new(), String::new());
        child.0.stdout.as_mut().unwrap().read_to_string(&mut out).unwrap();
        child.0.stderr.as_mut().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(child.0.wait().unwrap().code(), Some(1), "{errors}");
        assert_eq!(out, "", "results in spite of an error");
        let lines: Vec<_> = errors.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        lines[0].to_owned()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A process that does not outlive the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) struct Server {
    process: Killed,
    pub(crate) address: String,
    pub(crate) channel: Channel,
    pub(crate) sessions: SessionServiceClient<Channel>,
    inference: InferenceServiceClient<Channel>,
}

/// What was counted: bins and spikes, and correlations to the last bit.
#[derive(Debug, PartialEq)]
pub(crate) struct Counted {
    bins: (u64, u64, u64),
    spikes: Vec<u64>,
    transitions: u64,
    correlations: Vec<u64>,
}

impl Server {
    /// SIGKILL.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// SIGTERM, and wait; gives whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.process.0.wait().unwrap().success()
    }

    /// Wait for it to end by itself; gives the exit code.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        let mut status = None;
        until("the end of the daemon", async || {
            status = self.process.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }

    pub(crate) async fn try_create(&self) -> Result<String, Status> {
        let spec = v1::SessionSpec {
            windows: vec!["all".to_owned()],
            estimators: vec![v1::Estimator::Nmf.into()],
            ridge: Some(0.1),
            ..rig::spec()
        };
        let request = v1::CreateSessionRequest { spec: Some(spec) };
        let created = self.sessions.clone().create_session(request).await?;
        Ok(created.into_inner().session.unwrap().session_id)
    }

    pub(crate) async fn create(&self) -> String {
        self.try_create().await.unwrap()
    }

    pub(crate) async fn session(&self, session_id: &str) -> v1::Session {
        let request = v1::GetSessionRequest { session_id: session_id.to_owned() };
        self.sessions.clone().get_session(request).await.unwrap().into_inner().session.unwrap()
    }

    pub(crate) async fn durable_through(&self, session_id: &str) -> u64 {
        self.session(session_id).await.watermarks.unwrap().durable_through
    }

    pub(crate) async fn list(&self) -> Vec<String> {
        let sessions = self.sessions.clone().list_sessions(v1::ListSessionsRequest {}).await.unwrap();
        sessions.into_inner().sessions.into_iter().map(|session| session.session_id).collect()
    }

    pub(crate) async fn mark_trial(&self, session_id: &str, start_bin: u64) -> Result<(), Status> {
        let session_id = session_id.to_owned();
        let request = v1::MarkTrialRequest { session_id, start_bin, stop_bin: Some(start_bin + 10) };
        self.sessions.clone().mark_trial(request).await.map(drop)
    }

    pub(crate) async fn close(&self, session_id: &str) -> Result<v1::CloseSessionResponse, Status> {
        let request = v1::CloseSessionRequest { session_id: session_id.to_owned() };
        self.sessions.clone().close_session(request).await.map(tonic::Response::into_inner)
    }

    /// Send the bins from where the session is to `end_bin`, and wait until they are durable; the epoch is above that of who was there.
    pub(crate) async fn feed(&self, session_id: &str, end_bin: u64) {
        let producer = Producer::open(&self.channel, session_id, 0).await.unwrap();
        let first = producer.resume_from_bin;
        assert!(first <= end_bin);
        for bin in (first..end_bin).step_by(25) {
            producer.send(pattern(bin, (end_bin - bin).min(25))).await;
        }
        let last = producer.finish().await.unwrap();
        assert_eq!((last.applied_through, last.durable_through), (end_bin, end_bin));
    }

    pub(crate) async fn counted(&self, session_id: &str) -> Counted {
        let request = v1::GetCorrelationsRequest {
            session_id: session_id.to_owned(),
            window: "all".to_owned(),
            lag_bins: 1,
            header_only: false,
        };
        let mut parts = self.inference.clone().get_correlations(request).await.unwrap().into_inner();
        let mut counted = Counted { bins: (0, 0, 0), spikes: vec![], transitions: 0, correlations: vec![] };
        while let Some(part) = parts.message().await.unwrap() {
            match part.part.unwrap() {
                v1::get_correlations_response::Part::Header(header) => {
                    counted.bins = (header.first_bin, header.end_bin, header.bins_observed);
                    counted.spikes = header.spikes;
                    counted.transitions = header.transitions;
                }
                v1::get_correlations_response::Part::Rows(rows) => {
                    counted.correlations.extend(rows.equal_time.iter().map(|value| value.to_bits()));
                    counted.correlations.extend(rows.delayed.iter().map(|value| value.to_bits()));
                }
            }
        }
        counted
    }

    /// Bin through which the couplings reach that are published, 0 when none are.
    pub(crate) async fn coupled_through(&self, session_id: &str) -> u64 {
        let request = v1::GetCouplingsRequest { query: Some(rig::query(session_id)) };
        let Ok(parts) = self.inference.clone().get_couplings(request).await else { return 0 };
        match parts.into_inner().message().await.unwrap().and_then(|part| part.part) {
            Some(v1::get_couplings_response::Part::Header(header)) => header.end_bin,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status_text(&self) -> String {
        let mut status = Command::new(env!("CARGO_BIN_EXE_glauber"));
        let output = status.args(["status", "--connect", &self.address]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Wait until a stream says that everything before `bin` is durable.
pub(crate) async fn durable(producer: &mut Producer, bin: u64) {
    loop {
        let reply = producer.replies.message().await.unwrap().expect("the stream goes on");
        if let Some(Reply::Ack(v1::Ack { watermarks: Some(marks) })) = reply.message
            && marks.durable_through >= bin
        {
            return;
        }
    }
}

/// Names of the files in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
