//! The ID cookie (rules R9, B5, B8): `v` values as anyone sends them, one a line; `s` a content under the right MAC.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use throughline::base::encoding::base64url;
use throughline::base::secret::Purpose;
use throughline::domain::consent::Choice;
use throughline::domain::site_cookie::{Reading, SiteState, read};
use throughline_fuzz::{NOW, key, mode_and_text};

const LIFE: Duration = Duration::from_secs(395 * 86_400);

fuzz_target!(|data: &[u8]| {
    let Some((mode, text)) = mode_and_text(data) else { return };
    let key = key(Purpose::LocalCookie);
    if mode == b's' {
        let value = format!("{text}.{}", base64url(&key.tag(&[text.as_bytes()])));
        let state = read([value.as_str()].into_iter(), &key, LIFE, NOW).state;
        assert!(state.choice != Choice::Denied, "a refusal has one spelling");
        assert!(state.identity.is_none_or(|identity| NOW.since(identity.created) < LIFE && state.life(LIFE, NOW) <= LIFE));
        // What was understood is understood again.
        let again = state.write(&key);
        assert_eq!(read([again.as_str()].into_iter(), &key, LIFE, NOW).state, state);
    } else {
        let reading = read(text.split('\n'), &key, LIFE, NOW);
        let state = if text.split('\n').any(|value| value == "denied") { SiteState::DENIED } else { SiteState::default() };
        assert_eq!(reading, Reading { seen: true, state, ..Reading::default() }, "nobody made a MAC for this");
    }
});
