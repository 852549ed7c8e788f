//! Sites whose satellite is on a sub-domain.

use throughline::config::Profile;

use crate::world::{GOOD, World, lines};

/// The shop of the good configuration, with further lines.
fn shop(more: &str) -> String {
    let origin = "origin = \"https://shop.example\"\n";
    GOOD.replace(origin, &format!("origin = \"https://www.shop.example\"\n{more}\n"))
}

#[test]
fn a_site_may_have_its_satellite_on_a_sub_domain() {
    let world = World::new();
    let config = world.read(&shop("satellite = \"https://t.shop.example\"\ncookie_domain = \"shop.example\"")).unwrap();
    let site = &config.served[1].site;
    let satellite = site.satellite.as_ref().unwrap();
    assert_eq!((site.origin.as_str(), satellite.origin.as_str()), ("https://www.shop.example", "https://t.shop.example"));
    assert_eq!((satellite.cookie_domain.as_str(), site.served_at()), ("shop.example", &satellite.origin));
    assert_eq!(config.registered[0].satellite.as_ref(), Some(&satellite.origin), "the broker says where its keys are");
    assert_eq!(config.served[0].site.satellite, None);
    // The broker needs to know where the satellite is, and no more.
    let learn = "origin = \"https://learn.example\"\nserve = false\n";
    let elsewhere = GOOD.replace(learn, &format!("{learn}satellite = \"https://t.learn.example\"\n"));
    assert_eq!(world.read(&elsewhere).unwrap().registered[1].satellite.as_ref().unwrap().as_str(), "https://t.learn.example");
}

#[test]
fn in_the_localhost_profile_too() {
    let text = "profile = \"localhost\"\n[primary]\norigin = \"http://brand.localhost:8400\"\nserve = false\n\
        [[site]]\norigin = \"http://www.shop.localhost:8401\"\nsatellite = \"http://t.shop.localhost:8400\"\n\
        cookie_domain = \"shop.localhost\"\nconsent = \"implied\"\nsecret_file = \"shop.secret\"\nkey_file = \"shop.json\"\n";
    let config = World::new().read(text).unwrap();
    assert_eq!((config.profile, config.served.len()), (Profile::Localhost, 1));
}

#[test]
fn each_mistake_has_its_line() {
    let world = World::new();
    let good = "satellite = \"https://t.shop.example\"";
    for (more, line, expected) in [
        (good.to_owned(), 18, "[[site]] has no cookie_domain; write cookie_domain = \"shop.example\""),
        ("cookie_domain = \"shop.example\"".into(), 20, "cookie_domain has no use without satellite"),
        (format!("{good}\ncookie_domain = \"shop.example\"\nfiles = \"public\""), 22, "files has no use with satellite"),
        (format!("{good}\ncookie_domain = \"example\""), 21, "cookie_domain: \"example\" is a top-level domain"),
        (format!("{good}\ncookie_domain = \"learn.example\""), 21, "cookie_domain: \"https://www.shop.example\" is not below"),
        (format!("{good}\ncookie_domain = \"www.shop.example\""), 21, "cookie_domain: \"https://t.shop.example\" is not below"),
        (format!("{good}\ncookie_domain = 5"), 21, "cookie_domain: a number instead"),
        (
            "satellite = \"https://t.learn.example\"\ncookie_domain = \"shop.example\"".into(),
            20,
            "satellite: \"https://t.learn.example\" and the origin \"https://www.shop.example\" are on different domains",
        ),
        (
            "satellite = \"http://t.shop.example\"\ncookie_domain = \"shop.example\"".into(),
            20,
            "satellite: \"http://t.shop.example\" is plain http",
        ),
        (
            "satellite = \"https://www.shop.example\"\ncookie_domain = \"shop.example\"".into(),
            20,
            "satellite: \"https://www.shop.example\" has the host of the pages",
        ),
    ] {
        let report = world.read(&shop(&more)).expect_err(&more);
        let found = lines(&report);
        assert_eq!(found.len(), 1, "{more}: {report}");
        assert!(found[0].0 == Some(line) && found[0].1.starts_with(expected), "{more}: {report}");
    }
    let learn = "origin = \"https://learn.example\"\nserve = false\n";
    let beside = "origin = \"https://blog.shop.example\"\nsatellite = \"https://t.blog.shop.example\"\ncookie_domain = \"blog.shop.example\"\nconsent = \"implied\"\nkey_file = \"learn.json\"\n";
    let report =
        world.read(&shop(&format!("{good}\ncookie_domain = \"shop.example\"")).replace(learn, beside)).unwrap_err().to_string();
    assert!(report.contains("would share one cookie; give each a domain of its own"), "{report}");
    let primary = GOOD.replace("whoami = true\n", "whoami = true\nsatellite = \"https://t.brand.example\"\n");
    let report = world.read(&primary).unwrap_err().to_string();
    assert!(report.contains("unknown key \"satellite\" in [primary]; \"satellite\" belongs in [[site]]"), "{report}");
}

#[test]
fn a_satellite_has_a_host_of_its_own() {
    let apart = "satellite = \"https://t.shop.example\"\ncookie_domain = \"shop.example\"";
    let second = "[[site]]\norigin = \"https://t.shop.example\"\nserve = false\nsecret_file = \"other.secret\"\n[outbound]";
    let report = World::new().read(&shop(apart).replace("[outbound]", second)).unwrap_err().to_string();
    assert!(report.contains("\"https://t.shop.example\" already stands on line 20"), "{report}");
}
