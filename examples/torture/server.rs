//! The real daemon, started and killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use tonic::transport::Channel;

/// The `glauber` that was built together with this program.
pub(crate) fn beside() -> PathBuf {
    let own = std::env::current_exe().expect("a path of its own");
    let profile = own.ancestors().nth(2).expect("target/<profile>/examples");
    profile.join("glauber")
}

pub(crate) struct Server {
    child: Child,
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) sessions: SessionServiceClient<Channel>,
    pub(crate) ingest: IngestServiceClient<Channel>,
    pub(crate) inference: InferenceServiceClient<Channel>,
}

impl Server {
    pub(crate) fn spawn(binary: &Path, dir: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).expect("a log");
        let child = Command::new(binary)
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .arg("--journal-dir")
            .arg(dir.join("journal"))
            .arg("--archive-dir")
            .arg(dir.join("snapshots"))
            // Snapshots at every refresh: files are always being written when the end comes.
            .args(["--set", "archive.snapshot_interval_s=1"])
            .args(["--set", "recording.roll_interval_s=1"])
            .args(["--set", "journal.closed_kept_h=0"])
            .args(["--set", "defaults.equilibrium_methods=[]"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the daemon's binary: build it with the same profile");
        Self { child }
    }

    /// Wait until it serves, and connect.
    pub(crate) async fn client(&mut self) -> Client {
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("an address: see the log");
        let address = announced["address"].as_str().expect("an address").to_owned();
        let endpoint =
            Channel::from_shared(address).expect("an address").connect_timeout(Duration::from_secs(10));
        let channel = endpoint.connect().await.expect("a connection");
        Client {
            sessions: SessionServiceClient::new(channel.clone()),
            ingest: IngestServiceClient::new(channel.clone()),
            inference: InferenceServiceClient::new(channel),
        }
    }

    /// SIGKILL: no chance to say goodbye.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }
}
