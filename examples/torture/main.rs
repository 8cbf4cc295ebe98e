//! Kills the real daemon again and again while rigs send to it, and checks that nothing it acknowledged as durable is ever lost or
//! counted twice, and that every finished file on disk opens.
//!
//! ```text
//! cargo run --release --example torture -- --kills 2000        (make torture)
//! ```
//!
//! Each round starts `glauber serve` on the same journal, compares every session with an oracle that was never interrupted (counts,
//! moments, gaps, place to resume, by `==`), lets the rigs send, and sends SIGKILL after 0 to 250 ms; one round in ten is killed while
//! it is still taking up its sessions, one in twenty while it closes one. What a rig sends is a function of session and bin alone, so the oracle needs no rig.

mod files;
mod oracle;
mod rig;
mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use oracle::Oracle;
use rig::{Rig, Story};
use server::{Client, Server};

/// Kill the daemon while it works, and see whether it keeps its word.
#[derive(Debug, Parser)]
struct Args {
    /// How often the daemon is killed
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Seed of what is sent and of when it is killed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The daemon's binary [default: the one built beside this program]
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Directory to work in; must not exist [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Sessions at once.
const RIGS: u64 = 3;
/// Rounds after which a session is closed and a new one begun.
const ROUNDS_PER_SESSION: u64 = 40;

#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    kills_in_recovery: u64,
    closed: u64,
    kills_in_closing: u64,
    closed_unheard: u64,
    bins_durable: u64,
    reconnects: u64,
    files: u64,
    comparisons: u64,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let kept = args.dir.clone();
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = kept.unwrap_or_else(|| temporary.path().join("torture"));
    std::fs::create_dir(&dir).expect("a directory of its own");
    let binary = args.binary.clone().unwrap_or_else(server::beside);
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut tally = Tally::default();
    let mut rigs: Vec<Rig> = Vec::new();
    let mut next_story = 0;
    let mut closing: Option<Rig> = None;
    let snapshots = dir.join("snapshots");
    let began = Instant::now();

    while tally.kills < args.kills {
        if rng.random_bool(0.1) {
            let server = Server::spawn(&binary, &dir);
            std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
            server.kill();
            tally.kills_in_recovery += 1;
            tally.kills += 1;
        }
        let mut server = Server::spawn(&binary, &dir);
        let client = server.client().await;
        // Before anything is sent: the state is what the daemon found.
        if let Some(mut rig) = closing.take() {
            if rig.is_gone(&client).await {
                rig.check_recording(&snapshots);
                tally.closed_unheard += 1;
            } else {
                rigs.push(rig);
            }
        }
        for rig in &mut rigs {
            rig.compare(&client).await;
            tally.comparisons += 1;
        }
        if tally.kills % ROUNDS_PER_SESSION == ROUNDS_PER_SESSION - 1 && !rigs.is_empty() {
            let place = rng.random_range(0..rigs.len());
            let mut rig = rigs.swap_remove(place);
            tally.bins_durable += rig.durable_through();
            rig.close(&client).await;
            rig.check_recording(&snapshots);
            tally.closed += 1;
        }
        tally.files += files::check_new(&snapshots);
        if rng.random_bool(0.05) && !rigs.is_empty() {
            let rig = rigs.swap_remove(rng.random_range(0..rigs.len()));
            rig.begin_to_close(&client);
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
            server.kill();
            tally.kills_in_closing += 1;
            tally.kills += 1;
            closing = Some(rig);
            continue;
        }
        while (rigs.len() as u64) < RIGS {
            rigs.push(Rig::begin(&client, Story::new(args.seed, next_story)).await);
            next_story += 1;
        }
        let pause = Duration::from_micros(rng.random_range(0..250_000));
        let sending: Vec<_> = rigs.drain(..).map(|rig| rig.send(client.clone())).collect();
        tokio::time::sleep(pause).await;
        server.kill();
        for one in sending {
            rigs.push(one.await.expect("a rig that does not panic"));
            tally.reconnects += 1;
        }
        tally.kills += 1;
        if tally.kills % 100 < 2 {
            println!("{} kills, {:.0} s: {tally:?}", tally.kills, began.elapsed().as_secs_f64());
        }
    }
    let mut server = Server::spawn(&binary, &dir);
    let client = server.client().await;
    if let Some(mut rig) = closing {
        if rig.is_gone(&client).await {
            rig.check_recording(&snapshots);
        } else {
            rigs.push(rig);
        }
    }
    for mut rig in rigs {
        rig.compare(&client).await;
        tally.bins_durable += rig.durable_through();
        tally.comparisons += 1;
        rig.close(&client).await;
        rig.check_recording(&snapshots);
        tally.closed += 1;
    }
    tally.files += files::check_new(&snapshots);
    server.kill();
    assert!(tally.bins_durable > tally.kills, "hardly anything became durable: {tally:?}");
    println!(
        "{tally:?} in {:.0} s: nothing that was acknowledged was lost or counted twice",
        began.elapsed().as_secs_f64()
    );
}
