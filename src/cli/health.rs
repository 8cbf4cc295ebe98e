//! `glauber health`: whether a daemon serves, for whatever looks after it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Manner;
use super::client::{Calls, ConnectArgs, Daemon};
use super::error::CliError;
use super::output::{self, outln};

/// The services of a daemon, by their names in the interface.
const SERVICES: [&str; 4] = [
    "glauber.v1.ArchiveService",
    "glauber.v1.InferenceService",
    "glauber.v1.IngestService",
    "glauber.v1.SessionService",
];

/// Ask a daemon whether it serves; exit code 0 when it does, 1 otherwise
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Health checks need no token. A daemon whose journal is full or has failed answers queries and takes no bins: as a whole it serves, its IngestService does not, which --all makes a failure.

Examples:
  glauber health
  glauber health --all --connect https://rig.lab:50051 --ca ca.pem
  glauber health --json | jq '.services'")]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Fail also when one of its services does not serve, such as that which takes bins
    #[arg(long)]
    all: bool,
    /// Longest time to wait for an answer, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

pub(crate) async fn run(args: HealthArgs, manner: Manner) -> Result<(), CliError> {
    let address = args.connect.connect.clone();
    let asked = async {
        let daemon = Daemon::connect(&args.connect).await?;
        let mut client = HealthClient::new(daemon.calls());
        let whole = check(&mut client, &daemon, "").await?;
        let mut services = BTreeMap::new();
        for service in SERVICES {
            services.insert(service, check(&mut client, &daemon, service).await?);
        }
        Ok::<_, CliError>((whole, services))
    };
    let late = |_| CliError::NoDaemon { address: address.clone(), reason: "no answer in time".to_owned() };
    let (whole, services) =
        tokio::time::timeout(Duration::from_secs(args.timeout), asked).await.map_err(late)??;
    if manner.json {
        output::json(&json!({ "address": address, "status": whole, "services": services }))?;
    } else if !manner.quiet {
        outln!("{whole}")?;
        for (service, status) in services.iter().filter(|(_, status)| **status != whole) {
            outln!("{service}: {status}")?;
        }
    }
    let is_well = whole == SERVING && (!args.all || services.values().all(|status| *status == SERVING));
    if is_well { Ok(()) } else { Err(CliError::Told) }
}

const SERVING: &str = "serving";

async fn check(
    client: &mut HealthClient<Calls>,
    daemon: &Daemon,
    service: &str,
) -> Result<&'static str, CliError> {
    let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await;
    Ok(match answer {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => SERVING,
        Ok(_) => "not serving",
        // As the protocol says of a name that is not known.
        Err(status) if status.code() == Code::NotFound => "unknown",
        Err(status) => return Err(daemon.failure("asking for its health")(status)),
    })
}
