//! The configuration file (rule U4): whatever it holds, a report with lines that exist, or a configuration that stands.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use throughline::config::{Config, Profile};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A secret that an environment could hold; no file is there.
    let secret = |_: &str| Some("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA".to_owned());
    match Config::from_text(text, Path::new("/nowhere"), &secret) {
        Ok(config) => {
            assert!(!config.served.is_empty());
            for served in &config.served {
                let origin = &served.site.origin;
                assert!(if config.profile == Profile::Localhost { origin.is_loopback() } else { origin.is_https() });
            }
        }
        Err(report) => {
            let said = report.to_string();
            assert!(!said.is_empty());
            assert!(!said.contains("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA") || text.contains("AQIDBAUGBwgJ"));
        }
    }
});
