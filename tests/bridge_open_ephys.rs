//! `glauber bridge open-ephys` against emulators of the plugin, and the real daemon.
#![cfg(feature = "daemon")]

#[path = "open_ephys/emulator.rs"]
mod emulator;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use emulator::{Acquisition, BLOCK, Plugin, RATE, Sent, True, knock};
use glauber::ingest::{BinnedRecording, bin_recording};
use serde_json::{Value, json};

/// Long enough for a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
const WIDTH_NS: i64 = 10_000_000;

fn glauber(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    command.args(args).env_remove("GLAUBER_CONNECT").env_remove("GLAUBER_CONFIG").env_remove("RUST_LOG");
    command
}

/// What a program prints, line by line.
struct Program {
    process: Child,
    lines: Receiver<Value>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line))).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(LIMIT).expect("another line")
    }

    /// The next line of that event.
    fn wait_for(&self, event: &str) -> Value {
        self.wait_until(event, |_| true)
    }

    fn wait_until(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let line = self.next();
            if line["event"] == event && fits(&line) {
                return line;
            }
            assert!(began.elapsed() < LIMIT, "no such {event}");
        }
    }

    fn interrupt(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn succeeds(&mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A daemon with an archive.
struct Lab {
    dir: tempfile::TempDir,
    daemon: Program,
    address: String,
}

impl Lab {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (daemon, address) = serve(dir.path(), "127.0.0.1:0");
        Self { dir, daemon, address }
    }

    /// A bridge, listened to, with 10 ms bins.
    fn bridge(&self, plugin: &Plugin, args: &[&str]) -> Program {
        let base =
            ["--json", "bridge", "open-ephys", "--source", &plugin.address, "--connect", &self.address];
        let more = [
            "--bin-width",
            "10ms",
            "--close",
            "--no-equilibrium",
            "--report-every",
            "200ms",
            "--windows",
            "all",
        ];
        let heartbeat = if args.contains(&"--heartbeat") { vec![] } else { vec!["--heartbeat", "none"] };
        Program::start(
            glauber(&[&base[..], &more[..], &heartbeat[..], args].concat()).stderr(Stdio::inherit()),
        )
    }

    /// The recording of the session that was closed.
    fn recording(&self, session_id: &Value) -> BinnedRecording {
        let id = session_id.as_str().unwrap();
        let file: PathBuf = self.dir.path().join("archive").join(id).join(format!("{id}.nwb"));
        let recording = glauber::recording::open(file).unwrap();
        bin_recording(&recording.session, "10ms".parse().unwrap(), None).unwrap()
    }
}

fn serve(dir: &Path, listen: &str) -> (Program, String) {
    let (archive, journal) = (dir.join("archive"), dir.join("journal"));
    let mut command = glauber(&["--json", "--quiet", "serve", "--listen", listen]);
    command.arg("--archive-dir").arg(archive).arg("--journal-dir").arg(journal);
    let daemon = Program::start(&mut command);
    let address = daemon.next()["address"].as_str().unwrap().to_owned();
    (daemon, address)
}

/// Knock until the bridge hears it.
fn meet(plugin: &mut Plugin, bridge: &Program) {
    meet_by(plugin, bridge, knock);
}

fn meet_by(plugin: &mut Plugin, bridge: &Program, knock: impl Fn(i64) -> Sent) {
    for number in 0..10_000 {
        plugin.publish(&[knock(number)]);
        let heard = match bridge.lines.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => line["event"] == "receiving",
            Err(RecvTimeoutError::Timeout) => false,
            Err(error) => panic!("the bridge has ended: {error}"),
        };
        if heard {
            return;
        }
    }
    panic!("nobody listens");
}

type Bins = BTreeSet<(i64, u32)>;

/// The bins of spikes, in integer nanoseconds, counted from `from` of `width`; `neuron` says which one a spike is of, if any.
fn binned(spikes: &BTreeSet<True>, from: i64, neuron: impl Fn(&True) -> Option<u32>) -> Bins {
    let bin = |spike: &True| spike.sample * 1_000_000_000 / RATE / WIDTH_NS - from;
    spikes.iter().filter_map(|spike| Some((bin(spike), neuron(spike)?))).collect()
}

/// What a recording holds, and which bins it observed.
fn held(recording: &BinnedRecording) -> (Bins, BTreeSet<i64>) {
    let (mut spikes, mut observed) = (Bins::new(), BTreeSet::new());
    for block in &recording.blocks {
        for (bin, active) in (block.first_bin() as i64..).zip(block.bins()) {
            observed.insert(bin);
            spikes.extend(active.iter().map(|&neuron| (bin, u32::from(neuron))));
        }
    }
    (spikes, observed)
}

fn among(bins: &Bins, observed: &BTreeSet<i64>) -> Bins {
    bins.iter().filter(|(bin, _)| observed.contains(bin)).copied().collect()
}

fn electrode(spike: &True) -> Option<u32> {
    Some(spike.electrode)
}

#[test]
fn spikes_reach_the_session_in_the_bins_of_offline_binning() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let heartbeat = plugin.heartbeat_address.clone();
    let mut bridge =
        lab.bridge(&plugin, &["--discover", "500ms", "--duration", "3s", "--heartbeat", &heartbeat]);
    assert_eq!(bridge.wait_for("heartbeat")["answered"], true);
    meet(&mut plugin, &bridge);
    let acquisition = Acquisition::random(1, 6, &[0], 4 * RATE);
    plugin.publish(&acquisition.messages(0, 4 * RATE / BLOCK, 0));
    let session = bridge.wait_for("session");
    assert_eq!(session["neurons"], json!((1..=6).map(|k| format!("Tetrode {k}")).collect::<Vec<_>>()));
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    for nothing in ["late", "lost_messages", "malformed", "before_start", "unknown_spikes", "restarts"] {
        assert_eq!(summary[nothing], 0, "{nothing}: {summary}");
    }
    let recording = lab.recording(&summary["session_id"]);
    let (spikes, observed) = held(&recording);
    assert_eq!(observed, (0..300).collect());
    assert_eq!(spikes, among(&binned(&acquisition.spikes, 0, electrode), &observed));
    let heartbeat = plugin.heartbeats.lock().unwrap()[0].clone();
    assert_eq!((&heartbeat["type"], &heartbeat["application"]), (&json!("heartbeat"), &json!("glauber")));
    assert!(heartbeat["uuid"].is_string());
}

#[test]
fn lost_and_malformed_messages_leave_gaps_and_nothing_wrong() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms", "--duration", "3s"]);
    meet(&mut plugin, &bridge);
    let acquisition = Acquisition::random(2, 6, &[0], 4 * RATE);
    let messages = acquisition.messages(0, 4 * RATE / BLOCK, 0);
    let at = |block: i64| acquisition.messages(0, block, 0).len();
    // Lost on the way: all of blocks 60 to 62, then a single message, the first spike of some block.
    let lone = (100..).find(|&block| messages[at(block)].header["type"] == "spike").unwrap();
    let (single, next) = (at(lone), lone + 20);
    plugin.publish(&messages[..at(60)]);
    plugin.publish(&messages[at(63)..single]);
    plugin.publish(&messages[single + 1..at(next)]);
    // Unreadable: that the one in its place is missing is known by its number.
    let spoiled = at(next);
    let mut header = messages[spoiled].header.to_string().into_bytes();
    header.truncate(40);
    plugin.publish_frames(&[b"EVENT\0".to_vec(), header, vec![0; 640]]);
    // What no plugin sends, in between: nothing is missing for it.
    for frames in [
        vec![b"EVENT\0".to_vec()],
        vec![vec![], vec![], vec![], vec![], vec![], vec![], vec![], vec![], vec![]],
        vec![b"DATA\0".to_vec(), vec![0xff; 100_000], vec![]],
        vec![b"EVENT\0".to_vec(), b"null".to_vec(), vec![0; 3 << 20]],
    ] {
        plugin.publish_frames(&frames);
    }
    plugin.publish(&messages[spoiled + 1..]);
    // And again what has come already.
    plugin.publish(&messages[messages.len() - 1..]);
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    assert_eq!((&summary["losses"], &summary["malformed"]), (&json!(3), &json!(5)));
    assert_eq!(summary["lost_messages"], at(63) - at(60) + 2);
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    assert_eq!(spikes, among(&binned(&acquisition.spikes, 0, electrode), &observed));
    let touched = |from: i64, to: i64| {
        let from_ns = from * 1_000_000_000 / RATE - 200 * 1_000_000_000 / RATE - 1;
        from_ns / WIDTH_NS..=(to * 1_000_000_000 / RATE - 1) / WIDTH_NS
    };
    let mut expected: BTreeSet<i64> = (0..300).collect();
    for (from, to) in [(60, 64), (lone, lone + 1), (next, next + 1)] {
        let gap = touched(from * BLOCK, to * BLOCK);
        expected.retain(|bin| !gap.contains(bin));
    }
    assert_eq!(observed, expected, "no larger a gap than needed");
}

#[test]
fn a_new_acquisition_goes_on_in_the_session_after_a_gap() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms", "--duration", "4s"]);
    meet(&mut plugin, &bridge);
    let (blocks, samples) = (90, 90 * BLOCK);
    let first = Acquisition::random(3, 6, &[0], 2 * RATE);
    let mut second = Acquisition::random(4, 6, &[0], 3 * RATE);
    // 1.5 s after the end of the first.
    second.start_ms = first.start_ms + samples * 1000 / RATE + 1500;
    plugin.publish(&first.messages(0, blocks, 0));
    plugin.publish(&second.messages(0, 3 * RATE / BLOCK, 0));
    bridge.wait_for("restarted");
    let gap = bridge.wait_for("gap");
    assert_eq!(gap["why"], "stopped");
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    assert_eq!(summary["restarts"], 1);
    let shift = 304; // 90 blocks are 1.536 s; 1.5 s later is bin 303.6, up to the next.
    assert_eq!(gap["stop_ns"], shift * WIDTH_NS);
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    // The first ended in the middle of bin 153; of its last 200 samples some may not have come.
    let expected: BTreeSet<i64> = (0..152).chain(shift..400).collect();
    assert_eq!(observed, expected);
    let mut truth = binned(&first.spikes, 0, electrode);
    truth.retain(|(bin, _)| *bin < 152);
    truth.extend(binned(&second.spikes, -shift, electrode));
    assert_eq!(spikes, among(&truth, &observed));
}

#[test]
fn with_on_restart_end_the_bridge_ends_with_the_acquisition() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms", "--on-restart", "end"]);
    meet(&mut plugin, &bridge);
    let acquisition = Acquisition::random(5, 3, &[0], RATE);
    plugin.publish(&acquisition.messages(0, 50, 0));
    plugin.publish(&acquisition.messages(0, 50, 0));
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    assert_eq!(spikes, among(&binned(&acquisition.spikes, 0, electrode), &observed));
    assert!(observed.len() > 80 && observed.iter().all(|bin| *bin < 86), "{observed:?}");
}

#[test]
fn who_joins_late_has_every_spike_from_then_on() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms"]);
    meet(&mut plugin, &bridge);
    let acquisition = Acquisition::random(6, 6, &[0], 4 * RATE);
    // From within block 30 on, then Ctrl-C.
    let before = acquisition.messages(0, 30, 0).len() as i64;
    let messages = acquisition.messages(30, 200, before);
    plugin.publish(&messages[1..]);
    let origin_ns = bridge.wait_for("began")["origin_ns"].as_i64().unwrap();
    bridge.wait_until("report", |report| report["clock_s"].as_f64().unwrap() > 2.8);
    bridge.interrupt();
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let end_of_block = 31 * BLOCK * 1_000_000_000 / RATE;
    assert_eq!(origin_ns, (end_of_block / WIDTH_NS + 1) * WIDTH_NS, "the next edge of a bin");
    let recording = lab.recording(&summary["session_id"]);
    let (spikes, observed) = held(&recording);
    let truth = binned(&acquisition.spikes, origin_ns / WIDTH_NS, electrode);
    assert_eq!(spikes, among(&truth, &observed));
    let last = 200 * BLOCK * 1_000_000_000 / RATE / WIDTH_NS - origin_ns / WIDTH_NS;
    assert!(observed.contains(&0) && observed.len() as i64 >= last - 1, "{} of {last}", observed.len());
}

#[test]
fn open_ephys_may_be_closed_and_opened_again() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms", "--duration", "3s"]);
    meet(&mut plugin, &bridge);
    let first = Acquisition::random(11, 6, &[0], 2 * RATE);
    plugin.publish(&first.messages(0, 60, 0));
    bridge.wait_until("report", |report| report["clock_s"].as_f64().unwrap() > 1.0);
    let address = plugin.address.clone();
    drop(plugin);
    bridge.wait_for("waiting_for_open_ephys");
    let mut plugin = Plugin::start_at(&address);
    bridge.wait_for("waiting_for_acquisition");
    meet(&mut plugin, &bridge);
    let mut second = Acquisition::random(12, 6, &[0], 3 * RATE);
    second.start_ms = first.start_ms + 2000;
    plugin.publish(&second.messages(0, 3 * RATE / BLOCK, 0));
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    let expected: BTreeSet<i64> = (0..101).chain(200..300).collect();
    assert_eq!(observed, expected);
    let mut truth = binned(&first.spikes, 0, electrode);
    truth.retain(|(bin, _)| *bin < 101);
    truth.extend(binned(&second.spikes, -200, electrode));
    assert_eq!(spikes, among(&truth, &observed));
}

#[test]
fn a_daemon_that_is_killed_loses_nothing() {
    let mut lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms", "--duration", "5s"]);
    meet(&mut plugin, &bridge);
    let acquisition = Acquisition::random(7, 6, &[0], 6 * RATE);
    let cut = 100;
    let messages = acquisition.messages(0, 6 * RATE / BLOCK, 0);
    let sent = acquisition.messages(0, cut, 0).len();
    plugin.publish(&messages[..sent]);
    bridge.wait_until("report", |report| report["daemon_has_s"].as_f64().unwrap() > 0.5);
    lab.daemon.kill();
    plugin.publish(&messages[sent..]);
    bridge.wait_for("daemon_lost");
    let listen = lab.address.trim_start_matches("http://").to_owned();
    let (daemon, _) = serve(lab.dir.path(), &listen);
    lab.daemon = daemon;
    let resumed = bridge.wait_for("daemon")["resume_from_bin"].as_u64().unwrap();
    assert!(resumed >= 50, "what was durable was kept: bin {resumed}");
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    assert_eq!(observed, (0..500).collect());
    assert_eq!(spikes, among(&binned(&acquisition.spikes, 0, electrode), &observed));
}

#[test]
fn sorted_units_are_neurons_and_nothing_is_left_out_silently() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let list = lab.dir.path().join("neurons.txt");
    let save = list.to_str().unwrap();
    let args = ["--discover", "500ms", "--duration", "2s", "--stream", "Rhythm Data", "--save-neurons", save];
    let mut bridge = lab.bridge(&plugin, &args);
    meet(&mut plugin, &bridge);
    let mut acquisition = Acquisition::random(8, 2, &[0, 1, 2], 3 * RATE);
    let late = True { electrode: 1, sorted_id: 9, sample: RATE };
    acquisition.spikes.insert(late);
    let mut other = Acquisition::random(9, 2, &[0], RATE);
    other.stream = "LFP";
    // Two streams never come of one plugin, but of a proxy in between; then their numbers are one sequence.
    let mut messages = acquisition.messages(0, 80, 0);
    let foreign = other.messages(0, 2, messages.len() as i64);
    let sent = (messages.len() + foreign.len()) as i64;
    let count = foreign.len();
    messages.extend(foreign);
    messages.extend(acquisition.messages(80, 3 * RATE / BLOCK, sent));
    plugin.publish(&messages);
    let session = bridge.wait_for("session");
    let labels = ["Tetrode 1 unit 1", "Tetrode 1 unit 2", "Tetrode 2 unit 1", "Tetrode 2 unit 2"];
    assert_eq!(session["neurons"], json!(labels));
    assert_eq!(
        std::fs::read_to_string(&list).unwrap(),
        "Tetrode 1, 1\nTetrode 1, 2\nTetrode 2, 1\nTetrode 2, 2\n"
    );
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    assert_eq!(summary["unknown_units"], json!(["Tetrode 2 unit 9"]));
    assert_eq!((&summary["unknown_spikes"], &summary["other_streams"]), (&json!(1), &json!(count)));
    let unsorted = summary["unsorted"].as_u64().unwrap() + summary["unknown_spikes"].as_u64().unwrap();
    assert!(unsorted > 20, "{summary}");
    assert!(summary["forwarded"].as_u64().unwrap() + unsorted <= summary["spikes"].as_u64().unwrap());
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    let neuron =
        |spike: &True| matches!(spike.sorted_id, 1 | 2).then(|| 2 * spike.electrode + spike.sorted_id - 1);
    assert_eq!(observed, (0..200).collect());
    assert_eq!(spikes, among(&binned(&acquisition.spikes, 0, neuron), &observed));

    // The list of today is that of tomorrow; electrodes can be put into it.
    std::fs::write(&list, "Tetrode 2, 1\nTetrode 1\n").unwrap();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--neurons", save, "--duration", "2s"]);
    meet(&mut plugin, &bridge);
    plugin.publish(&acquisition.messages(0, 3 * RATE / BLOCK, 0));
    assert_eq!(bridge.wait_for("session")["neurons"], json!(["Tetrode 2 unit 1", "Tetrode 1"]));
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    let neuron = |spike: &True| match (spike.electrode, spike.sorted_id) {
        (0, _) => Some(1),
        (1, 1) => Some(0),
        _ => None,
    };
    assert_eq!(spikes, among(&binned(&acquisition.spikes, 0, neuron), &observed));
}

#[test]
fn a_stream_that_cannot_be_one_recording_ends_with_one_line() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let base = [
        "bridge",
        "open-ephys",
        "--source",
        &plugin.address,
        "--connect",
        &lab.address,
        "--bin-width",
        "10ms",
    ];
    let mut command =
        glauber(&[&["--json"], &base[..], &["--heartbeat", "none", "--discover", "300ms"]].concat());
    let mut bridge = Program::start(command.stderr(Stdio::piped()));
    meet(&mut plugin, &bridge);
    let acquisition = Acquisition::random(10, 2, &[0], RATE);
    let mut messages = acquisition.messages(0, 50, 0);
    messages.iter_mut().skip(120).for_each(|message| {
        if message.header["type"] == "data" {
            message.header["content"]["sample_rate"] = json!(20_000.0);
        }
    });
    plugin.publish(&messages);
    bridge.wait_for("summary");
    assert_eq!(bridge.process.wait().unwrap().code(), Some(1));
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut bridge.process.stderr.take().unwrap(), &mut errors).unwrap();
    assert_eq!(
        errors,
        "error: the sample rate of stream 'Rhythm Data' is 20000 Hz, before it was 30000 Hz: bins of both are not of one recording\n"
    );
}

#[test]
fn without_data_spikes_alone_are_enough() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge =
        lab.bridge(&plugin, &["--sample-rate", "30000", "--discover", "500ms", "--duration", "2s"]);
    // Nothing that tells a sample.
    let nothing = json!({"message_num": 5000, "type": "param", "content": {"gain": 1}});
    meet_by(&mut plugin, &bridge, |_| Sent { envelope: "PARAM", header: nothing.clone(), payload: 0 });
    let mut acquisition = Acquisition::random(13, 6, &[0], 3 * RATE);
    acquisition.channels = 0;
    // Silence is no loss.
    acquisition.spikes.retain(|spike| !(RATE..RATE * 3 / 2).contains(&spike.sample));
    plugin.publish(&acquisition.messages(0, 3 * RATE / BLOCK, 0));
    let origin_ns = bridge.wait_for("began")["origin_ns"].as_i64().unwrap();
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    assert_eq!((&summary["late"], &summary["losses"]), (&json!(0), &json!(0)));
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    assert_eq!(observed, (0..200).collect());
    assert_eq!(spikes, among(&binned(&acquisition.spikes, origin_ns / WIDTH_NS, electrode), &observed));
}

#[test]
fn without_data_ctrl_c_is_no_error() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--sample-rate", "30000", "--discover", "500ms"]);
    let nothing = json!({"message_num": 5000, "type": "param", "content": {"gain": 1}});
    meet_by(&mut plugin, &bridge, |_| Sent { envelope: "PARAM", header: nothing.clone(), payload: 0 });
    let mut acquisition = Acquisition::random(15, 6, &[0], 3 * RATE);
    acquisition.channels = 0;
    let newest_ns = acquisition.spikes.iter().map(|spike| spike.sample).max().unwrap() * 1_000_000_000 / RATE;
    plugin.publish(&acquisition.messages(0, 3 * RATE / BLOCK + 1, 0));
    let origin_ns = bridge.wait_for("began")["origin_ns"].as_i64().unwrap();
    // Everything that can be complete is.
    bridge.wait_until("report", |report| report["daemon_has_s"].as_f64().unwrap() > 2.7);
    bridge.interrupt();
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    assert_eq!(spikes, among(&binned(&acquisition.spikes, origin_ns / WIDTH_NS, electrode), &observed));
    assert!(observed.iter().all(|bin| origin_ns + bin * WIDTH_NS < newest_ns - 90_000_000), "{observed:?}");
    assert!(observed.len() > 250, "{}", observed.len());
}

#[test]
fn neurons_that_cannot_be_written_leave_no_session_behind() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let path = lab.dir.path().join("no such directory").join("list.txt");
    let mut bridge = lab.bridge(&plugin, &["--discover", "100ms", "--save-neurons", path.to_str().unwrap()]);
    meet(&mut plugin, &bridge);
    plugin.publish(&Acquisition::random(16, 6, &[0], RATE).messages(0, RATE / BLOCK, 0));
    let summary = bridge.wait_for("summary");
    assert_eq!(bridge.process.wait().unwrap().code(), Some(1));
    assert_eq!(summary["session_id"], Value::Null);
    let output = glauber(&["--json", "status", "--connect", &lab.address]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["sessions"], json!([]), "{status}");
}

#[test]
fn ctrl_c_is_heard_while_a_session_is_asked_for() {
    let lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "300ms"]);
    meet(&mut plugin, &bridge);
    let signal = |name: &str| {
        let pid = lab.daemon.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    plugin.publish(&Acquisition::random(17, 6, &[0], RATE).messages(0, RATE / BLOCK, 0));
    bridge.wait_for("began");
    // Nothing is reported while the answer is waited for.
    while bridge.lines.recv_timeout(Duration::from_secs(1)).is_ok() {}
    bridge.interrupt();
    assert_eq!(bridge.wait_for("summary")["session_id"], Value::Null);
    bridge.succeeds();
    signal("-CONT");
}

#[test]
fn without_neurons_there_is_no_session() {
    let mut lab = Lab::open();
    let mut plugin = Plugin::start();
    let mut bridge = lab.bridge(&plugin, &["--discover", "100ms"]);
    meet(&mut plugin, &bridge);
    let silent = Acquisition { spikes: BTreeSet::new(), ..Acquisition::random(14, 1, &[0], RATE) };
    plugin.publish(&silent.messages(0, 50, 0));
    bridge.wait_for("no_neurons_yet");
    bridge.interrupt();
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    assert_eq!((&summary["session_id"], &summary["spikes"]), (&Value::Null, &json!(0)));
    lab.daemon.kill();
}

#[test]
fn libzmq_speaks_the_same_protocol() {
    let Some(python) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
        return;
    };
    let lab = Lab::open();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/open_ephys_emulator.py");
    let emulator = Program::start(Command::new(python).arg(script).args(["--seconds", "3", "--speed", "2"]));
    let ports = emulator.next();
    let address = |port: &str| format!("tcp://127.0.0.1:{}", ports[port]);
    let (data, listen) = (address("data_port"), address("listen_port"));
    let mut command =
        glauber(&["--json", "bridge", "open-ephys", "--source", &data, "--heartbeat", &listen, "--connect"]);
    command.args([
        &lab.address,
        "--bin-width",
        "10ms",
        "--discover",
        "1s",
        "--duration",
        "2s",
        "--close",
        "--no-equilibrium",
    ]);
    let mut bridge = Program::start(&mut command);
    let summary = bridge.wait_for("summary");
    bridge.succeeds();
    let sent = emulator.next();
    let pairs: Bins = serde_json::from_value(sent["pairs"].clone()).unwrap();
    let (spikes, observed) = held(&lab.recording(&summary["session_id"]));
    assert_eq!(spikes, among(&pairs, &observed), "{summary}");
    if summary["lost_messages"] == 0 {
        assert_eq!(observed, (0..200).collect());
    }
    assert!(spikes.len() > 200, "{}", spikes.len());
}

#[test]
fn wrong_arguments_get_one_line() {
    let refused = |args: &[&str], code: i32| {
        let base = ["bridge", "open-ephys", "--bin-width", "10ms", "--connect", "http://127.0.0.1:1"];
        let output = glauber(&[&base[..], args].concat()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), errors.lines().count()), (Some(code), 1), "{errors}");
        assert!(output.stdout.is_empty());
        errors
    };
    for source in ["127.0.0.1:5556", "tcp://127.0.0.1", "tcp://*:5556", "tcp://h:0", "ipc://x", "tcp://:5556"]
    {
        assert!(refused(&["--source", source], 2).contains("expected tcp://host:port"), "{source}");
    }
    assert!(refused(&["--sample-rate", "0"], 2).contains("expected 100 to 1000000 Hz"));
    assert!(refused(&["--discover", "1h"], 2).contains("expected at most 10min"));
    assert!(refused(&["--units", "some"], 2).contains("auto, sorted, all, electrodes"));
    assert!(refused(&["--neurons", "/nonexistent"], 1).contains("reading /nonexistent"));
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.txt");
    let list = list.to_str().unwrap();
    std::fs::write(list, "a, 1\na, 1\n").unwrap();
    assert!(refused(&["--neurons", list], 2).contains("line 2: 'a, 1' stands there a second time"));
    assert!(refused(&["--save-neurons", list], 2).contains("exists already"));
    assert!(refused(&["--neurons", list, "--discover", "1s"], 2).contains("cannot be used with"));
    assert!(refused(&[], 1).contains("no daemon at http://127.0.0.1:1"));
}
