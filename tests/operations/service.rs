//! What a service manager hears of the real binary.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::program::{Server, glauber, output, stdout};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

/// A service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, heard: Vec::new() }
    }

    fn at(path: &Path) -> Self {
        Self::new(UnixDatagram::bind(path).unwrap())
    }

    /// Listen until a line that begins so comes; gives it.
    fn hear(&mut self, beginning: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("{beginning} was waited for in vain ({error}): {:?}", self.heard)
            });
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            self.heard.extend(lines.iter().cloned());
            if let Some(line) = lines.into_iter().find(|line| line.starts_with(beginning)) {
                return line;
            }
        }
    }
}

fn supervised(dir: &Path, socket: &str) -> Command {
    let mut command = Server::command(dir);
    command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "200000");
    command
}

#[test]
fn the_service_manager_hears_of_start_life_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let mut manager = Manager::at(&path);
    let mut server = Server::start(&mut supervised(dir.path(), &path.display().to_string()));
    manager.hear("READY=1");
    let early = manager.heard.iter().position(|line| line == "WATCHDOG=1");
    assert_eq!(early, None, "life before the start is over: {:?}", manager.heard);
    // Whoever was started after us can call.
    assert_eq!(stdout(&mut glauber(&["health", "--connect", &server.address])), "serving\n");
    for _ in 0..5 {
        manager.hear("WATCHDOG=1");
    }
    let status = manager.heard.iter().rfind(|line| line.starts_with("STATUS=")).unwrap();
    assert!(status.contains("0 open sessions"), "{status}");

    // Certificates and tokens are read again; it goes on living.
    server.signal("-HUP");
    manager.hear("WATCHDOG=1");
    server.signal("-TERM");
    manager.hear("STOPPING=1");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    // The default time of grace, 30 s, and 10 s for what comes after it.
    assert!(manager.heard.iter().any(|line| line == "EXTEND_TIMEOUT_USEC=40000000"), "{:?}", manager.heard);
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_socket_does_as_well() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let dir = tempfile::tempdir().unwrap();
    let name = format!("glauber-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let server = Server::start(&mut supervised(dir.path(), &format!("@{name}")));
    manager.hear("READY=1");
    manager.hear("WATCHDOG=1");
    drop(server);
}

#[test]
fn a_daemon_that_hangs_gives_no_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let mut manager = Manager::at(&path);
    let server = Server::start(&mut supervised(dir.path(), &path.display().to_string()));
    manager.hear("WATCHDOG=1");
    server.signal("-STOP");
    // What it had sent before is still to be read; then nothing comes for ten times what it had to say something in.
    let mut buffer = [0; 4096];
    manager.socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    while manager.socket.recv(&mut buffer).is_ok() {}
    server.signal("-CONT");
    manager.socket.set_read_timeout(Some(LIMIT)).unwrap();
    manager.hear("WATCHDOG=1");
}

#[test]
fn without_a_service_manager_nothing_is_different() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(Server::command(dir.path()).env("NOTIFY_SOCKET", "/nowhere/notify"));
    assert_eq!(stdout(&mut glauber(&["health", "--connect", &server.address])), "serving\n");
    server.signal("-TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn health_says_whether_a_daemon_serves() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&mut Server::command(dir.path()));
    let asked = stdout(&mut glauber(&["health", "--all", "--json", "--connect", &server.address]));
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(
        (&asked["status"], &asked["services"]["glauber.v1.IngestService"]),
        (&"serving".into(), &"serving".into())
    );
    let address = server.address.clone();
    drop(server);
    let (code, out, errors) = output(&mut glauber(&["health", "--connect", &address]));
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(errors.contains("no daemon at"), "{errors}");
}
