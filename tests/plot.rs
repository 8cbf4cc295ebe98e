//! `glauber plot`: figures of snapshots, recordings and live sessions, whole or not at all.
#![cfg(feature = "daemon")]

use std::io::{BufRead, BufReader, Cursor};
use std::process::{Child, Command, Stdio};

use glauber::proto::v1;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::recording::{NwbMetadata, Overwrite, Subject, write_nwb};
use serde_json::Value;

const WIDTH: &str = "10ms";

fn glauber(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    command.args(args).env_remove("GLAUBER_CONNECT").env_remove("GLAUBER_CONFIG").env_remove("RUST_LOG");
    command
}

fn stdout(args: &[&str]) -> String {
    let output = glauber(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {:?} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The one line of a run that fails with that exit code.
fn refusal(args: &[&str], code: i32) -> String {
    let output = glauber(args).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    assert!(errors.starts_with("error: ") && output.stdout.is_empty(), "{errors}");
    errors
}

/// A directory with a small recording in it, of which one neuron is silent.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let out = desk.path("rig.nwb");
        let of = ["simulate", "--neurons", "6", "--coupling-std", "0.6", "--duration", "1min"];
        stdout(&[&of[..], &["--bin-width", WIDTH, "--rate-hz", "20", "--seed", "3", "--out", &out]].concat());
        desk
    }

    fn with_snapshot() -> Self {
        let desk = Self::new();
        let (rig, out) = (desk.path("rig.nwb"), desk.path("fit.h5"));
        let of =
            ["fit", &rig, "--bin-width", WIDTH, "--estimator", "nmf,tap", "--ridge", "0.1", "--out", &out];
        stdout(&[&of[..], &["--equilibrium", "nmf"]].concat());
        desk
    }

    /// The recording with nothing valid between two seconds of it, and a neuron that never fires.
    fn with_gap(&self, from_s: i64, to_s: i64) -> String {
        let mut session = glauber::recording::open(self.path("rig.nwb")).unwrap().session;
        let second = 1_000_000_000;
        session.invalid =
            vec![glauber::model::Interval { start_ns: from_s * second, stop_ns: to_s * second }];
        session.units[2].spike_times_ns.clear();
        let metadata = NwbMetadata {
            identifier: "gap".to_owned(),
            session_description: "a gap".to_owned(),
            session_start: std::time::UNIX_EPOCH,
            created: std::time::UNIX_EPOCH,
            resolution_seconds: 0.01,
            subject: Subject::simulated(),
        };
        let path = self.path("gap.nwb");
        write_nwb(&path, &session, &metadata, None, Overwrite::Refuse).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Width, height and pixels of a PNG file.
fn picture(path: &str) -> (u32, u32, Vec<[u8; 3]>) {
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels.as_chunks::<3>().0.to_vec())
}

/// Pixels of what is not known.
fn grey(path: &str) -> usize {
    let (_, _, pixels) = picture(path);
    pixels.iter().filter(|pixel| **pixel == [205; 3]).count()
}

/// Every text of an SVG file.
fn texts(path: &str) -> Vec<String> {
    let source = std::fs::read_to_string(path).unwrap();
    let document = roxmltree::Document::parse(&source).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
    texts.filter_map(|node| node.text().map(|text| text.trim().to_owned())).collect()
}

#[test]
fn a_snapshot_becomes_a_picture_the_same_each_time() {
    let desk = Desk::with_snapshot();
    let (snapshot, one, two) = (desk.path("fit.h5"), desk.path("one.png"), desk.path("two.png"));
    let told: Value = serde_json::from_str(&stdout(&["plot", &snapshot, "-o", &one, "--json"])).unwrap();
    let titles: Vec<&str> = told["titles"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
    assert!(titles[0].starts_with("rig: couplings J by ") && titles[2].contains("nmf model"), "{titles:?}");
    let described = told["descriptions"][0].as_str().unwrap();
    for part in
        ["ridge 0.1", "bits/spike", "of 30 pairs", "Every row has a valid estimate", "Standard errors"]
    {
        assert!(described.contains(part), "{part}: {described}");
    }
    let (width, height, pixels) = picture(&one);
    assert_eq!((width, told["bytes"].as_u64().unwrap()), (2080, std::fs::metadata(&one).unwrap().len()));
    assert!(height > 2000);
    let dark = pixels.iter().filter(|pixel| pixel.iter().all(|&part| part < 60)).count();
    assert!(dark > 5000, "{dark} pixels of ink");
    stdout(&["plot", &snapshot, "-o", &two]);
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "same input, other bytes");
    // Another order is another picture of the same numbers.
    stdout(&["plot", &snapshot, "-o", &two, "--force", "--sort", "strength"]);
    assert!(std::fs::read(&one).unwrap() != std::fs::read(&two).unwrap());
}

#[test]
fn svg_keeps_its_words_as_text() {
    let desk = Desk::with_snapshot();
    let (snapshot, out) = (desk.path("fit.h5"), desk.path("map.svg"));
    stdout(&["plot", &snapshot, "-o", &out, "--what", "heatmap", "--estimator", "tap"]);
    let found = texts(&out);
    for text in ["rig: couplings J by tap", "sender j", "receiver i", "J", "0", "5"] {
        assert!(found.iter().any(|line| line == text), "{text}: {found:?}");
    }
    let source = std::fs::read_to_string(&out).unwrap();
    assert!(source.contains("href=\"data:image/png;base64,") && !source.contains("href=\"http"));
    stdout(&["plot", &snapshot, "-o", &out, "--force", "--what", "score,predicted"]);
    let found = texts(&out);
    for text in ["nmf", "tap", "rates alone", "predicted", "active neurons K", "15 pairs"] {
        assert!(found.iter().any(|line| line == text), "{text}: {found:?}");
    }
    assert!(found.iter().any(|line| line.starts_with("rms error of drawing")), "{found:?}");
}

#[test]
fn a_recording_shows_its_spikes_its_gaps_and_what_is_fitted_to_it() {
    let desk = Desk::new();
    let (rig, out) = (desk.path("rig.nwb"), desk.path("rig.svg"));
    stdout(&["plot", &rig, "-o", &out, "--from", "10s", "--duration", "20s"]);
    let found = texts(&out);
    for text in ["rig: spikes", "time (s)", "neuron", "rate (Hz)", "10", "30"] {
        assert!(found.iter().any(|line| line == text), "{text}: {found:?}");
    }
    assert!(found.iter().any(|line| line.contains("6 neurons, as recorded; 20.0 s of ")), "{found:?}");
    stdout(&[
        "plot",
        &rig,
        "-o",
        &out,
        "--force",
        "--fit",
        "nmf",
        "--bin-width",
        WIDTH,
        "--ridge",
        "0.1",
        "--top",
        "4",
    ]);
    let found = texts(&out);
    assert!(found.iter().any(|line| line == "rig: couplings J by nmf"), "{found:?}");
    assert!(found.iter().any(|line| line.starts_with("4 neurons of 6")), "{found:?}");

    // A stretch that is not valid is grey, and said to be; a neuron that never fires has no row of couplings.
    let (gap, png) = (desk.with_gap(5, 9), desk.path("gap.png"));
    let told = stdout(&["plot", &gap, "-o", &png, "--json", "--duration", "20s"]);
    assert!(told.contains("Grey: not observed."), "{told}");
    // A fifth of the raster, 1400 pixels wide, of six rows 28 pixels high with lines between them.
    assert!((30_000..90_000).contains(&grey(&png)), "{}", grey(&png));
    let told = stdout(&[
        "plot",
        &gap,
        "-o",
        &png,
        "--force",
        "--json",
        "--fit",
        "nmf",
        "--bin-width",
        WIDTH,
        "--ridge",
        "0.1",
        "--what",
        "heatmap",
    ]);
    assert!(told.contains("Grey: 1 row without a valid estimate (5 OK, 1 SILENT)"), "{told}");
    assert!(grey(&png) > 20_000, "{}", grey(&png));
}

#[test]
fn what_cannot_be_drawn_is_one_line_and_leaves_nothing() {
    let desk = Desk::with_snapshot();
    let (rig, snapshot, out) = (desk.path("rig.nwb"), desk.path("fit.h5"), desk.path("out.png"));
    let before = desk.files();
    let deep = desk.path("missing/out.png");
    let (text, bare, none) = (desk.path("out.txt"), desk.path("out"), desk.path("none.h5"));
    let cases: [(&[&str], i32, &str); 14] = [
        (&["plot", &snapshot, "-o", &out, "--duration", "5s"], 2, "--duration: it is of spikes"),
        (&["plot", &snapshot, "-o", &deep], 1, "writing to"),
        (&["plot", &snapshot, "-o", &text], 2, "'.txt' is no format of figures: expected .png or .svg"),
        (&["plot", &snapshot, "-o", &bare], 2, "does not say its format"),
        (&["plot", &none, "-o", &out], 1, "none.h5: no such file"),
        (&["plot", &snapshot, "-o", &out, "--what", "raster"], 1, "holds no spikes"),
        (
            &["plot", &snapshot, "-o", &out, "--estimator", "exact"],
            2,
            "no couplings by exact; there are: nmf, tap",
        ),
        (
            &["plot", &snapshot, "-o", &out, "--equilibrium", "hopfield"],
            2,
            "no model by hopfield; there are: nmf",
        ),
        (
            &["plot", &snapshot, "-o", &out, "--fit", "nmf", "--bin-width", WIDTH],
            2,
            "--fit: it is of recordings",
        ),
        (
            &["plot", &rig, "-o", &out, "--what", "heatmap"],
            1,
            "fit some with --fit ESTIMATOR --bin-width WIDTH",
        ),
        (&["plot", &rig, "-o", &out, "--from", "1h"], 2, "--from: nothing is left"),
        (&["plot", &snapshot, "-o", &out, "--limit", "-1"], 2, "not the end of a scale"),
        (&["plot", "-o", &out], 2, "required"),
        (&["plot", "--session", "x", "--connect", "http://127.0.0.1:1", "-o", &out], 1, "no daemon at"),
    ];
    for (args, code, expected) in cases {
        let told = glauber(args).output().unwrap();
        let errors = String::from_utf8(told.stderr).unwrap();
        assert_eq!(told.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(expected) && errors.starts_with("error: "), "{args:?}: {errors}");
        assert_eq!(desk.files(), before, "{args:?} left something");
    }
    std::fs::write(&out, b"mine").unwrap();
    let told = refusal(&["plot", &snapshot, "-o", &out], 1);
    assert!(told.contains("exists already") && told.contains("--force"), "{told}");
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    stdout(&["plot", &snapshot, "-o", &out, "--force", "--what", "heatmap"]);
    assert!(picture(&out).0 > 0 && desk.files().len() == before.len() + 1);
    // No more HDF5 than anything else: what is no snapshot and no recording says so.
    std::fs::write(desk.path("bad.h5"), b"\x89HDF\r\n\x1a\nnothing").unwrap();
    let (bad, figure) = (desk.path("bad.h5"), desk.path("bad.png"));
    refusal(&["plot", &bad, "-o", &figure], 1);
    assert!(!desk.files().contains(&"bad.png".to_owned()));
}

/// A daemon of its own, ended with the test.
struct Server(Child, String);

impl Server {
    fn start(desk: &Desk) -> Self {
        let (archive, journal) = (desk.path("snapshots"), desk.path("journal"));
        let mut child = glauber(&["serve", "--listen", "127.0.0.1:0", "--json"])
            .args(["--archive-dir", &archive, "--journal-dir", &journal])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        Self(child, announced["address"].as_str().unwrap().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_live_session_is_drawn_with_what_its_daemon_has_published() {
    let desk = Desk::new();
    let server = Server::start(&desk);
    let (rig, out) = (desk.path("rig.nwb"), desk.path("live.svg"));
    let to = ["--connect", &server.1];
    let of = ["--estimator", "nmf,tap", "--ridge", "0.1", "--windows", "all", "--name", "retina"];
    stdout(&[&["replay", &rig, "--bin-width", WIDTH][..], &of, &to].concat());
    stdout(&[&["plot", "--session", "retina", "--estimator", "tap", "-o", &out][..], &to].concat());
    let found = texts(&out);
    assert!(found.iter().any(|line| line == "retina: couplings J by tap"), "{found:?}");
    assert!(
        found.iter().any(|line| line.starts_with("live session ") && line.contains("computed ")),
        "{found:?}"
    );
    assert!(found.iter().any(|line| line.contains("model predicts")), "{found:?}");
    // The matrix is that of the API: the surest pair is the one that `couplings` lists first.
    let listed =
        stdout(&[&["couplings", "--session", "retina", "--estimator", "tap", "--json"][..], &to].concat());
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let first = &listed["pairs"][0];
    let pair = format!("{} → {}", first["sender_id"], first["receiver_id"]);
    let (coupling, error) = (first["coupling"].as_f64().unwrap(), first["standard_error"].as_f64().unwrap());
    let decimals = (1.0 - error.log10().floor()).max(2.0) as usize;
    let value = format!("{coupling:+.decimals$} ± {error:.decimals$}").replace('-', "−");
    assert!(found.contains(&pair) && found.contains(&value), "{pair} {value}: {found:?}");
    let none = desk.path("none.png");
    let unknown = [&["plot", "--session", "cortex", "-o", &none][..], &to].concat();
    assert!(refusal(&unknown, 1).contains("no session 'cortex'"));
    assert!(!desk.files().contains(&"none.png".to_owned()));
}

#[test]
fn the_newest_spikes_of_an_open_session_are_drawn_with_its_gaps() {
    let desk = Desk::new();
    let server = Server::start(&desk);
    let to = ["--connect", &server.1];
    let gap = desk.with_gap(40, 44);
    let of = ["--estimator", "nmf", "--ridge", "0.1", "--windows", "all", "--name", "open", "--keep-open"];
    stdout(&[&["replay", &gap, "--bin-width", WIDTH][..], &of, &to].concat());
    let raster = ["--session", "open", "--what", "raster", "--json"];
    let png = desk.path("live.png");
    let told = stdout(&[&["plot", "-o", &png][..], &raster, &to].concat());
    // 30 s of 60 s, that is 3,000 of 6,000 bins of 10 ms; a few bins at the ends may be without a spike, and are not sent.
    for part in
        ["open: spikes", "the newest 30.0 s shown", "the newest it had counted", "Grey: not observed."]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("were asked for"), "{told}");
    let grey_of_30 = grey(&png);
    assert!((20_000..70_000).contains(&grey_of_30), "{grey_of_30}");
    // The whole of it, which is less than was asked for; the gap is a smaller share.
    let told = stdout(&[&["plot", "-o", &png, "--force", "--duration", "5min"][..], &raster, &to].concat());
    assert!(told.contains("where 5 min 0 s were asked for: the session is no older."), "{told}");
    assert!((grey_of_30 / 3..grey_of_30 * 2 / 3).contains(&grey(&png)), "{}", grey(&png));
    let told = stdout(&[&["plot", "-o", &png, "--force", "--duration", "5s"][..], &raster, &to].concat());
    assert!(told.contains("the newest 5.0 s shown") && told.contains("observed all the time"), "{told}");
    // With all that there is, it stands before the couplings.
    let svg = desk.path("all.svg");
    stdout(&[&["plot", "--session", "open", "-o", &svg][..], &to].concat());
    let found = texts(&svg);
    for text in ["open: spikes", "rate (Hz)", "open: couplings J by nmf"] {
        assert!(found.iter().any(|line| line == text), "{text}: {found:?}");
    }

    // A closed session gives none, and all else.
    stdout(&[&["close", "open"][..], &to].concat());
    let none = desk.path("none.png");
    let told = refusal(&[&["plot", "-o", &none][..], &raster[..4], &to].concat(), 1);
    assert!(told.contains("fetching the newest spikes") && told.contains("closed"), "{told}");
    assert!(!desk.files().contains(&"none.png".to_owned()));
    let output = glauber(&[&["plot", "--session", "open", "-o", &svg, "--force"][..], &to].concat());
    let output = { output }.output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("note: no raster: "), "{notes}");
    let found = texts(&svg);
    assert!(!found.iter().any(|line| line == "open: spikes"), "{found:?}");
    assert!(found.iter().any(|line| line == "open: couplings J by nmf"), "{found:?}");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_one_line() {
    let desk = Desk::with_snapshot();
    let snapshot = desk.path("fit.h5");
    // Nobody makes files there, root neither.
    let proc = std::path::Path::new("/proc/sys");
    if proc.is_dir() {
        let told = refusal(&["plot", &snapshot, "-o", "/proc/sys/out.png"], 1);
        assert!(told.contains("/proc/sys"), "{told}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let (locked, out) = (desk.path("locked"), desk.path("locked/out.png"));
        std::fs::create_dir(&locked).unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
        if std::fs::write(desk.path("locked/probe"), b"").is_ok() {
            eprintln!("skipped: permissions do not bind who runs this");
            return;
        }
        let told = refusal(&["plot", &snapshot, "-o", &out], 1);
        assert!(told.contains("locked"), "{told}");
        assert_eq!(std::fs::read_dir(&locked).unwrap().count(), 0);
    }
}

/// A session that publishes nothing of so few bins, with these bins; the neuron of each that fires.
async fn young_session(address: &str, name: &str, firing: &[u32]) {
    use glauber::proto::v1::stream_spikes_request::Message;
    let spec = v1::SessionSpec {
        name: name.to_owned(),
        neuron_count: 3,
        bin_width_us: 20_000,
        refresh_interval_bins: Some(100_000),
        ..Default::default()
    };
    let address = address.to_owned();
    let mut sessions = SessionServiceClient::connect(address.clone()).await.unwrap();
    let created = sessions.create_session(v1::CreateSessionRequest { spec: Some(spec) }).await.unwrap();
    if firing.is_empty() {
        return;
    }
    let open =
        v1::OpenStream { session_id: created.into_inner().session.unwrap().session_id, ..Default::default() };
    let spikes = v1::SparseBins { active_counts: vec![1; firing.len()], neurons: firing.to_vec() };
    let spikes = Some(v1::spike_bins::Spikes::Sparse(spikes));
    let bins = v1::SpikeBins { spikes, ..Default::default() };
    let request = |message| v1::StreamSpikesRequest { message: Some(message) };
    let requests = tokio_stream::iter([request(Message::Open(open)), request(Message::Bins(bins))]);
    let mut ingest = IngestServiceClient::connect(address).await.unwrap();
    let mut replies = ingest.stream_spikes(requests).await.unwrap().into_inner();
    // Until the stream ends: all bins are counted then.
    while replies.message().await.unwrap().is_some() {}
}

#[test]
fn a_session_that_has_published_nothing_shows_its_spikes_or_says_that_it_has_none() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let server = Server::start(&desk);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(young_session(&server.1, "empty", &[]));
    runtime.block_on(young_session(&server.1, "young", &[0, 1, 2, 1, 0]));
    let (to, svg, none) = (["--connect", &server.1], desk.path("young.svg"), desk.path("none.svg"));

    let of = ["plot", "--session", "young", "-o", &svg, "--json"];
    let told: Value = serde_json::from_str(&stdout(&[&of[..], &to].concat())).unwrap();
    assert_eq!(told["titles"], serde_json::json!(["young: spikes"]));
    let described = told["descriptions"][0].as_str().unwrap();
    for part in ["the newest 100 ms shown", "Bins 0 to 4 ", "the session is no older"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let map = ["plot", "--session", "young", "-o", &none, "--what", "raster,heatmap"];
    assert!(refusal(&[&map[..], &to].concat(), 1).contains("fetching couplings"));

    let empty = ["plot", "--session", "empty", "-o", &none];
    let told = refusal(&[&empty[..], &["--what", "raster"], &to].concat(), 1);
    assert!(told.contains("it has no bins yet"), "{told}");
    let output = glauber(&[&empty[..], &to].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!desk.files().contains(&"none.svg".to_owned()));
}
