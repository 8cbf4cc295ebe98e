//! A journal that a daemon cannot start with.

use std::fs;

use super::server::Place;
use super::shim::{EACCES, EIO, ENOSPC, MAKE_DIRECTORY, OPEN, RENAME, SYNC, SYNC_DIRECTORY, WRITE, said};

#[tokio::test]
async fn a_journal_that_cannot_be_made_or_opened_is_one_clear_error() {
    for (what, kinds, part, errno) in [
        ("its directory", MAKE_DIRECTORY, "/journal", EACCES),
        ("creating it", OPEN, "journal.redb.new", EACCES),
        ("writing it", WRITE, "journal.redb.new", ENOSPC),
        ("fsync of it", SYNC, "journal.redb.new", EIO),
        ("its name", RENAME, "journal.redb", EACCES),
        ("fsync of its directory", SYNC_DIRECTORY, "/journal", EIO),
    ] {
        let Some(place) = Place::new() else { return };
        place.faults.begin(kinds, part, errno);
        let error = place.refusal();
        assert!(error.contains("journal.directory = ") && error.contains(&said(errno)), "{what}: {error}");
        assert!(place.faults.failed() > 0, "{what}");
        // Nothing of that is in the way of the next start.
        place.faults.end();
        let server = place.start().await;
        let id = server.create().await;
        server.feed(&id, 150).await;
        server.kill();

        // Nor can one be opened that is there, and it is left as it was.
        let before = fs::read(place.journal()).unwrap();
        place.faults.begin(OPEN, "journal.redb", EACCES);
        let error = place.refusal();
        assert!(error.contains("journal.directory = ") && error.contains(&said(EACCES)), "{error}");
        place.faults.end();
        assert!(fs::read(place.journal()).unwrap() == before);
        assert_eq!(place.start().await.durable_through(&id).await, 150);
    }
}

#[tokio::test]
async fn a_journal_in_use_is_one_clear_error() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let id = server.create().await;
    let error = place.refusal();
    assert!(error.contains("journal.redb is in use: another daemon runs on it"), "{error}");
    // The first one has noticed nothing.
    server.feed(&id, 150).await;
}

#[tokio::test]
async fn a_damaged_journal_is_one_clear_error_and_left_as_it_was() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let id = server.create().await;
    server.feed(&id, 5000).await;
    assert!(server.terminate());
    let whole = fs::read(place.journal()).unwrap();

    let mut other_magic = whole.clone();
    other_magic[..4].copy_from_slice(b"oops");
    let mut zeroed_head = whole.clone();
    zeroed_head[..4096].fill(0);
    let damaged: [(&str, Vec<u8>); 7] = [
        ("nothing", Vec::new()),
        ("text", b"this is something else altogether".to_vec()),
        ("another file", other_magic),
        ("a head of zeros", zeroed_head),
        ("cut to its head", whole[..4096].to_vec()),
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("cut within a page", whole[..1234].to_vec()),
    ];
    for (what, bytes) in damaged {
        fs::write(place.journal(), &bytes).unwrap();
        let error = place.refusal();
        assert!(error.contains("journal.directory = "), "{what}: {error}");
        assert!(fs::read(place.journal()).unwrap() == bytes, "{what}: it was changed");
    }
    fs::write(place.journal(), &whole).unwrap();
    assert_eq!(place.start().await.durable_through(&id).await, 5000);
}

/// Wherever the bytes are wrong: the daemon does not start, sets the session aside, or was not concerned. It never counts what is wrong,
/// but it may find less than was there: a last commit that is damaged looks like one that a crash has torn, and the one before it counts.
#[tokio::test]
async fn wrong_bytes_in_a_journal_are_never_counted() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let id = server.create().await;
    server.feed(&id, 2000).await;
    let expected = server.counted(&id).await;
    assert!(server.terminate());
    let whole = fs::read(place.journal()).unwrap();
    let used: Vec<usize> = (0..whole.len() / 4096)
        .filter(|page| whole[page * 4096..][..4096].iter().any(|&byte| byte != 0))
        .collect();
    let mut refused = 0;
    for page in used {
        let mut bytes = whole.clone();
        for byte in bytes[page * 4096 + 100..][..200].iter_mut() {
            *byte ^= 0x55;
        }
        fs::write(place.journal(), &bytes).unwrap();
        match place.try_start().await {
            None => refused += 1,
            Some(server) if server.list().await.contains(&id) => {
                if server.durable_through(&id).await > 0 {
                    assert_eq!(server.counted(&id).await, expected, "page {page}");
                }
            }
            Some(_set_aside) => {}
        }
        assert!(!place.log().contains("panicked"), "page {page}: {}", place.log());
    }
    assert!(refused > 0);
}
