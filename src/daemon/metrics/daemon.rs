//! Numbers of the daemon as a whole, and what each session is.

use std::sync::Arc;

use super::{Text, label};
use crate::daemon::handle::SessionHandle;
use crate::daemon::registry::Registry;

pub(super) fn tell(out: &mut Text, registry: &Registry, sessions: &[Arc<SessionHandle>]) {
    const BUILD: &str = "glauber_build_info";
    out.describe(BUILD, "gauge", "1, with the version of the daemon.");
    out.line(BUILD, concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    let open = sessions.iter().filter(|session| !session.is_closed()).count();
    let limits = &registry.config.limits;
    let numbers = [
        ("glauber_sessions_open", "Sessions that take bins.", open as u64),
        ("glauber_sessions_limit", "Most sessions open at once.", limits.sessions_open_max as u64),
        (
            "glauber_sessions_set_aside",
            "Sessions of earlier runs that could not be taken up again; the journal keeps them.",
            registry.set_aside_count(),
        ),
        (
            "glauber_memory_reserved_bytes",
            "Most that counts and estimates of all open sessions can take.",
            registry.memory_reserved_bytes(),
        ),
        ("glauber_memory_limit_bytes", "Most of it that is given out.", limits.memory_bytes_max),
        (
            "glauber_queue_limit_bytes",
            "Most bytes that wait for one session's engine.",
            u64::from(limits.engine_queue_bytes),
        ),
        (
            "glauber_queue_limit_messages",
            "Most messages that wait for one session's engine.",
            limits.engine_queue_messages as u64,
        ),
    ];
    for (name, help, value) in numbers {
        out.describe(name, "gauge", help);
        out.line(name, "", value);
    }
    tell_sessions(out, sessions);
}

fn tell_sessions(out: &mut Text, sessions: &[Arc<SessionHandle>]) {
    const INFO: &str = "glauber_session_info";
    out.describe(INFO, "gauge", "1, with the name of the session.");
    for session in sessions {
        let name = escaped(&session.spec.name);
        out.line(INFO, &format!("{},name=\"{name}\"", label(session)), 1);
    }
    const NEURONS: &str = "glauber_session_neurons";
    out.describe(NEURONS, "gauge", "Neurons of the session.");
    for session in sessions {
        out.line(NEURONS, &label(session), session.spec.n_neurons());
    }
    const AGE: &str = "glauber_last_bin_age_seconds";
    out.describe(AGE, "gauge", "Time since the newest bins of an open session came; none before its first.");
    for session in sessions.iter().filter(|session| !session.is_closed()) {
        if let Some(at) = session.record().last_bin_at {
            out.line(AGE, &label(session), at.elapsed().as_secs_f64());
        }
    }
}

/// Text as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_would_end_a_label_is_escaped() {
        assert_eq!(escaped("a\"b\\c\nd é"), "a\\\"b\\\\c\\nd é");
    }
}
