use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};

use crate::daemon::DaemonConfig;

/// A configuration file. One that is accepted is written and read again, and is the same.
///
/// # Panics
/// When it is not.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = |text: &str| -> Result<DaemonConfig, Box<figment::Error>> {
        let figment = Figment::from(Serialized::defaults(DaemonConfig::default())).merge(Toml::string(text));
        figment.extract().map_err(Box::new)
    };
    let config = match read(text) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    if let Err(error) = config.check() {
        assert!(!error.to_string().is_empty());
        return;
    }
    let written = toml::to_string(&config).expect("what is allowed can be written");
    assert_eq!(read(&written).expect("what was written can be read"), config);
    // What the daemon makes of it at its start.
    assert!(config.journal.limits().closed_kept >= Duration::ZERO);
    assert_eq!(config.journal.file().is_none(), config.journal.directory.as_os_str().is_empty());
    config.metrics.address().expect("checked");
}
