//! Every mistake is reported, at its line, with what to write instead.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use throughline::config::{Config, KeySource, Log, LogFormat, Profile, StorePlace, UnknownHost};
use throughline::domain::consent::ConsentPolicy;
use throughline::domain::postgres_url::TlsMode;
use throughline::domain::site::Role;

use crate::world::{GOOD, World, env, lines};

#[test]
fn a_whole_configuration_is_read_as_it_is_written() {
    let config = World::new().read(GOOD).unwrap();
    assert_eq!(config.profile, Profile::Production);
    assert_eq!(config.listen.addresses.len(), 2);
    assert!(config.listen.tls.is_some());
    let proxies: Vec<_> = config.listen.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "127.0.0.1/32"]);
    assert!(config.broker.unwrap().whoami);
    assert_eq!(config.primary.as_str(), "https://www.brand.example");

    let [brand, shop] = &config.served[..] else { panic!("two are served") };
    assert_eq!((brand.site.role, brand.site.consent, brand.site.honour_gpc), (Role::Primary, ConsentPolicy::Implied, true));
    assert_eq!(brand.site.cookie_life, Duration::from_secs(395 * 86_400));
    assert!(brand.site.skip.matches("/download/x") && brand.site.skip.matches("/x.tar"));
    assert!(brand.files.as_ref().unwrap().ends_with("public"));
    assert_eq!((shop.site.role, shop.site.consent, shop.site.honour_gpc), (Role::Secondary, ConsentPolicy::Required, false));
    assert_eq!(shop.site.cookie_life, Duration::from_secs(30 * 86_400));
    assert!(shop.site.legacy_browsers);
    assert!(matches!(&shop.keys, KeySource::File(path, keys) if path.ends_with("shop.json") && keys.keys().len() == 1));

    let registered: Vec<_> = config.registered.iter().map(|site| (site.origin.as_str(), site.legacy_browsers)).collect();
    assert_eq!(registered, [("https://shop.example", true), ("https://learn.example", true)]);
    // The satellite signs with what the broker verifies with.
    assert_eq!(config.registered[0].hop_key.tag(&[b"x"]), shop.site.hop_key.tag(&[b"x"]));

    assert_eq!(config.outbound.resolve["www.brand.example"].port(), 8443);
    assert_eq!(
        (config.outbound.probe_interval, config.outbound.probe_timeout),
        (Duration::from_millis(100), Duration::from_millis(50))
    );
    assert_eq!(config.outbound.revocation_interval, Duration::from_millis(200));
    let store = config.store.unwrap();
    assert_eq!((store.retention, store.hop_wait), (Duration::from_secs(30 * 86_400), Duration::ZERO));
    assert!(matches!(&store.place, StorePlace::Postgres(url) if url.tls().mode == TlsMode::VerifyFull));
    assert_eq!(store.place.name(), "PostgreSQL, database visitors at db.internal:5432");
    assert!(!format!("{store:?}").contains("hunter2"));
    assert_eq!((config.limits.replay_entries, config.limits.workers), (1000, Some(2)));
    assert_eq!(config.log, Log { level: tracing::Level::DEBUG, format: LogFormat::Json });
    let traces = config.traces.unwrap();
    assert_eq!((traces.url.as_str(), traces.percent), ("http://collector.internal:4318/v1/traces", 1));
    let admin = config.admin.unwrap();
    assert_eq!((admin.address, admin.hosts), ("127.0.0.1:8401".parse().unwrap(), vec!["ops.internal".to_owned()]));
    assert_eq!((admin.sample, admin.sample_every), (5000, Duration::from_secs(60)));
    assert!(!format!("{:?}", config.replay).contains("hunter2"));
    let replay = config.replay.unwrap();
    assert_eq!(replay.nodes, ["rediss://10.0.0.1:6379", "rediss://cache.internal"]);
    assert_eq!((replay.cluster, replay.username.as_deref()), (true, Some("throughline")));
    assert_eq!(replay.password.as_ref().map(|password| password.as_str()), Some("hunter2"));
    assert_eq!(replay.timeout, Duration::from_millis(50));
}

#[test]
fn an_unknown_host_is_passed_or_refused_and_nothing_else() {
    let read = |word: &str| {
        let site = "[[site]]\norigin = \"https://shop.example\"\nconsent = \"required\"\nsecret_file = \"shop.secret\"\nkey_file = \"shop.json\"\n";
        let listen = format!("[listen]\n{word}\n[primary]\norigin = \"https://www.brand.example\"\nserve = false\n{site}");
        World::new().read(&listen).map(|config| config.listen.unknown_host).map_err(|report| report.to_string())
    };
    assert_eq!(read("").unwrap(), UnknownHost::Pass);
    assert_eq!(read("unknown_host = \"pass\"").unwrap(), UnknownHost::Pass);
    assert_eq!(read("unknown_host = \"refuse\"").unwrap(), UnknownHost::Refuse);
    let report = read("unknown_host = \"ignore\"").unwrap_err();
    assert!(report.contains("unknown_host: \"ignore\" is not one; write \"pass\" or \"refuse\""), "{report}");
}

#[test]
fn defaults() {
    let text = "[primary]\norigin = \"https://www.brand.example\"\nserve = false\n\
        [[site]]\norigin = \"https://shop.example\"\nconsent = \"required\"\nsecret_file = \"shop.secret\"\nkey_file = \"shop.json\"\n";
    let config = World::new().read(text).unwrap();
    assert_eq!(config.listen.addresses, ["127.0.0.1:8400".parse().unwrap()]);
    assert!(config.listen.tls.is_none() && config.listen.trusted_proxies.is_empty());
    assert!(config.broker.is_none() && config.registered.is_empty() && config.store.is_none());
    assert_eq!(config.outbound.revocation_interval, Duration::from_secs(5));
    assert_eq!(config.served.len(), 1);
    let site = &config.served[0].site;
    assert!(site.honour_gpc && !site.legacy_browsers);
    assert_eq!((config.limits.replay_entries, config.limits.workers), (1_000_000, None));
    assert_eq!(
        (config.outbound.probe_interval, config.outbound.probe_timeout),
        (Duration::from_secs(1), Duration::from_millis(500))
    );
    assert_eq!(config.log, Log { level: tracing::Level::INFO, format: LogFormat::Human });
    assert_eq!((config.admin, config.traces), (None, None));
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let text = include_str!("../data/config_mistakes.toml");
    let report = World::new().read(text).unwrap_err();
    let expected = [
        (2, "unknown key \"log_level\" outside the tables; did you mean [log]?"),
        (4, "[listen] has no tls_key"),
        (5, "addresses: \"localhost:8443\" is not an IP address"),
        (5, "addresses: 0.0.0.0:8443 is there twice"),
        (6, "tls_certificate: "),
        (8, "trusted_proxies: \"proxy.example\" is not"),
        (9, "unknown key \"level\" in [listen]; \"level\" belongs in [log]"),
        (11, "[primary] has no consent; write consent = \"required\" or"),
        (11, "[primary] has no key_file"),
        (12, "origin: \"https://www.brand.example/home\" is more than an origin"),
        (13, "secret_file stands beside secret_env; write one of the two"),
        (15, "unknown key \"cookie_dayz\" in [primary]; did you mean \"cookie_days\"?"),
        (16, "cookie_days is 500; write a whole number from 1 to 400"),
        (17, "honour_gpc is a text; write true or false"),
        (18, "skip: \"download\" is neither"),
        (21, "origin: \"http://shop.example\" is plain http"),
        (22, "consent: \"maybe\" is not a policy"),
        (23, "secret_env: the environment variable NOT_SET is not set"),
        (24, "key_file: "),
        (25, "unknown key \"whoami\" in [[site]]; \"whoami\" belongs in [primary]"),
        (30, "consent has no use with serve = false"),
        (34, "origin: \"https://learn.example\" already stands on line 28"),
        (36, "secret_file learn.secret: the secret is also that of secret_file learn.secret on line 31"),
        (39, "WWW.brand.example: not a host name as browsers spell it"),
        (39, "a.example: \"b.example\" is not an IP address"),
        (40, "probe_timeout_ms is 1; write a whole number from 50 to 10000"),
        (43, "level: a number instead of a text in quotes"),
        (61, "[admin] has no address; write address"),
        (62, "unknown key \"adress\" in [admin]; did you mean \"address\"?"),
        (64, "otlp_endpoint: not the address of an OTLP collector (not repeated here)"),
        (65, "sample_percent is 101; write a whole number from 0 to 100"),
        (46, "nodes: a user and a password do not belong here; write username and password_env"),
        (46, "nodes: what stands here is no address of a Redis; write one such as"),
        (47, "nodes: redis://10.0.0.1 is there twice"),
        (48, "nodes: what follows the port is the number of a database"),
        (48, "nodes: take out what begins with ?"),
        (49, "nodes: redis://10.0.0.6:6379 stands beside redis://10.0.0.1; write one, or cluster = true"),
        (51, "password_env: the environment variable EMPTY_PASSWORD is empty"),
        (52, "timeout_ms is 5; write a whole number from 10 to 2000"),
        (53, "unknown key \"replay_entries\" in [replay]; \"replay_entries\" belongs in [limits]"),
        (56, "url stands beside url_env; write one of the two"),
        (57, "url_env: not the URL of a store (not repeated here)"),
        (58, "retention_days is 0; write a whole number from 1 to 3660"),
        (59, "hop_wait_ms is 5000; write a whole number from 0 to 1000"),
        (60, "unknown key \"retention\" in [store]; did you mean \"retention_days\"?"),
    ];
    let found = lines(&report);
    for (line, what) in expected {
        assert!(found.iter().any(|(at, said)| *at == Some(line) && said.starts_with(what)), "line {line}: {what}\nin\n{report}");
    }
    assert_eq!(found.len(), expected.len(), "{report}");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[test]
fn what_the_listener_for_operators_needs() {
    let world = World::new();
    let good = GOOD.split("[admin]").next().unwrap();
    let read = |lines: &str| world.read(&format!("{good}[admin]\n{lines}\n"));
    for (lines, expected) in [
        ("", "[admin] has no address; write address = "),
        ("address = \"localhost:8401\"", "address: \"localhost:8401\" is not an IP address with a port"),
        ("address = \"127.0.0.1:8443\"", "address: 127.0.0.1:8443 is where visitors are served"),
        ("address = \"[::1]:8443\"", "address: [::1]:8443 is where visitors are served"),
        ("address = \"127.0.0.1:8401\"\nhosts = [\"ops:80\"]", "hosts: \"ops:80\" is not a host name"),
        ("address = \"127.0.0.1:8401\"\nhosts = [\"Ops\"]", "hosts: \"Ops\" is not a host name"),
        ("address = \"127.0.0.1:8401\"\nsample = -1", "sample is -1; write a whole number from 0"),
        ("address = \"127.0.0.1:8401\"\npassword = \"x\"", "unknown key \"password\" in [admin]"),
    ] {
        let report = read(lines).expect_err(lines);
        assert!(report.mistakes().len() == 1 && report.to_string().contains(expected), "{lines}: {report}");
    }
    let admin = read("address = \"0.0.0.0:8401\"").unwrap().admin.unwrap();
    assert!((admin.hosts.is_empty(), admin.sample, admin.sample_every.as_secs()) == (true, 100_000, 300), "{admin:?}");
}

#[test]
fn what_a_shared_replay_memory_needs() {
    let world = World::new();
    let good = GOOD.split("[replay]").next().unwrap();
    let read = |lines: &str| world.read(&format!("{good}[replay]\n{lines}\n"));
    for (lines, expected) in [
        ("", "[replay] has no nodes; write nodes = "),
        ("nodes = []", "nodes is empty; write one"),
        ("nodes = [\"redis://a\"]\nusername = \"x\"", "[replay] has no password_env; write it beside username"),
        ("nodes = [\"redis://a\"]\nusername = \"\"\npassword_env = \"REDIS_PASSWORD\"", "username: is empty"),
        ("nodes = [\"redis://a\"]\npassword_env = \"hunter2!\"", "password_env: what stands here is no name"),
        ("nodes = [\"redis://a\"]\npassword = \"hunter2\"", "unknown key \"password\" in [replay]; did you mean"),
        ("nodes = [\"redis://a/1\"]\ncluster = true", "nodes: a cluster has one database only"),
        ("nodes = [\"redis://a\", \"rediss://b\"]\ncluster = true", "nodes: rediss://b is with TLS or without"),
        ("nodes = [\"redis://\"]", "nodes: what stands here is no address"),
        ("nodes = [\"http://a\"]", "nodes: what stands here is no address"),
    ] {
        let report = read(lines).expect_err(lines);
        assert!(report.mistakes().len() == 1 && report.to_string().contains(expected), "{lines}: {report}");
        assert!(!report.to_string().contains("hunter2"), "{report}");
    }
    for node in ["redis://a", "rediss://a:6380", "valkey://[::1]:6379", "valkeys://a.example/15"] {
        let replay = read(&format!("nodes = [\"{node}\"]")).unwrap_or_else(|report| panic!("{node}: {report}")).replay.unwrap();
        assert_eq!((replay.nodes, replay.cluster, replay.password), (vec![node.to_owned()], false, None));
        assert_eq!(replay.timeout, Duration::from_millis(100));
    }
    assert!(world.read(good).unwrap().replay.is_none());
}

#[test]
fn where_the_records_may_be() {
    let world = World::new();
    let good = GOOD.split("[store]").next().unwrap();
    let read = |lines: &str| world.read(&format!("{good}[store]\n{lines}\n"));
    let store = world.read(good).unwrap().store.unwrap();
    assert_eq!(store.place, StorePlace::Sqlite(world.path().join("throughline.sqlite")));
    assert_eq!((store.retention, store.hop_wait), (Duration::from_secs(761 * 86_400), Duration::from_millis(10)));
    for (url, name) in [
        ("sqlite:records.sqlite", "SQLite in "),
        ("postgres://ann@db", "PostgreSQL, db:5432"),
        ("postgresql://ann:hunter2@a:1,b:2/visitors", "PostgreSQL, database visitors at a:1, b:2"),
        ("postgres:///visitors?host=/run/postgresql", "PostgreSQL, database visitors at /run/postgresql (port 5432)"),
    ] {
        let store = read(&format!("url = \"{url}\"")).unwrap_or_else(|report| panic!("{url}: {report}")).store.unwrap();
        let found = store.place.name();
        assert!(found.starts_with(name) && !found.contains("ann") && !found.contains("hunter2"), "{found}");
    }
    for (lines, expected) in [
        ("url = \"records.sqlite\"", "url: not the URL of a store"),
        ("url = \"mysql://ann:hunter2@db/x\"", "url: not the URL of a store (not repeated here)"),
        ("url = \"sqlite:\"", "url: not a path"),
        ("url = \"sqlite:public\"", "is a folder; write the path of a file"),
        ("url = \"sqlite:nowhere/records.sqlite\"", "is not a folder, so nothing can be kept in it; make it"),
        ("url = \"postgres://ann:hunter2@db:x/y\"", "url: not a PostgreSQL URL (not repeated here)"),
        ("url = \"postgres:///visitors\"", "url: not a PostgreSQL URL (not repeated here)"),
        ("url = \"postgres://ann:hunter2@db/y?sslmode=allow\"", "url: sslmode is none of these"),
        ("url = \"postgres://ann:hunter2@db/y?sslrootcert=nowhere.pem\"", "nowhere.pem cannot be read"),
        ("url = \"postgres://ann:hunter2@db/y?sslcert=cert.pem&sslkey=cert.pem\"", "chmod 600"),
        ("url = \"postgres://ann:hunter2@db/y?sslcert=cert.pem\"", "url: sslcert has no key"),
        ("url = 5", "url: a number instead of a text in quotes"),
        ("url_env = \"NOT_SET\"", "url_env: the environment variable NOT_SET is not set"),
        ("url_env = \"postgres://ann:hunter2@db/x\"", "url_env: what stands here is no name of an environment variable"),
    ] {
        let report = read(lines).expect_err(lines);
        assert!(report.mistakes().len() == 1 && report.to_string().contains(expected), "{lines}: {report}");
        assert!(!report.to_string().contains("hunter2"), "{report}");
    }
    // Only the broker keeps records.
    let elsewhere = "[primary]\norigin = \"https://www.brand.example\"\nserve = false\n\
        [[site]]\norigin = \"https://shop.example\"\nconsent = \"required\"\nsecret_file = \"shop.secret\"\nkey_file = \"shop.json\"\n\
        [store]\nurl = \"sqlite:records.sqlite\"\n";
    let report = world.read(elsewhere).unwrap_err();
    assert!(report.to_string().contains("[store] has no use: the broker keeps the records"), "{report}");
    assert_eq!(report.mistakes().len(), 1, "{report}");
}

#[test]
fn u4_an_origin_that_is_none_stops_the_start_with_its_line() {
    let world = World::new();
    for line in include_str!("../data/origins_refused.txt").lines().filter(|line| !line.starts_with('#')) {
        let (origin, hint) = line.split_once(" => ").unwrap();
        for (place, at) in [("https://www.brand.example", 10), ("https://shop.example", 19)] {
            let report = world.read(&GOOD.replace(&format!("\"{place}\""), &format!("\"{origin}\""))).expect_err(origin);
            let found = lines(&report);
            assert_eq!(found.len(), 1, "{origin}: {report}");
            assert!(found[0].0 == Some(at) && found[0].1.contains(hint), "{origin}: {report}");
            assert!(!report.to_string().contains("hunter2"), "{report}");
        }
    }
}

#[test]
fn u4_what_an_origin_may_be_depends_on_the_profile() {
    let world = World::new();
    let refused = |text: &str| {
        lines(&world.read(text).unwrap_err()).iter().map(|(line, what)| format!("{line:?} {what}")).collect::<Vec<_>>()
    };
    let local = refused(&GOOD.replace("\"https://shop.example\"", "\"http://shop.localhost:8400\""));
    assert!(local.len() == 1 && local[0].contains("Some(19)") && local[0].contains("profile = \"localhost\""), "{local:?}");
    let remote = refused(&GOOD.replace("\"production\"", "\"localhost\""));
    assert!(remote.len() == 3 && remote.iter().all(|what| what.contains("is not on this machine")), "{remote:?}");
    let neither = refused(&GOOD.replace("\"production\"", "\"staging\""));
    assert!(neither.len() == 1 && neither[0].contains("Some(1)") && neither[0].contains("\"staging\" is not one"), "{neither:?}");
}

#[test]
fn k4_an_open_damaged_or_missing_file_stops_the_start_and_says_what_to_do() {
    let mode = |mode| move |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let cut = |path: &std::path::Path| {
        let whole = fs::read(path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    };
    let folder = |path: &std::path::Path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    type Damage<'a> = &'a dyn Fn(&std::path::Path);
    let cases: [(&str, usize, Damage<'_>, &str); 7] = [
        ("brand.json", 13, &mode(0o644), "chmod 600"),
        ("brand.json", 13, &cut, "is cut off"),
        ("brand.json", 13, &|path| fs::remove_file(path).unwrap(), "cannot be read"),
        ("brand.json", 13, &folder, "is not a file"),
        ("brand.secret", 12, &mode(0o640), "chmod 600"),
        ("brand.secret", 12, &cut, "holds no secret"),
        ("learn.secret", 30, &|path| fs::write(path, "hunter2").unwrap(), "holds no secret"),
    ];
    for (file, line, damage, hint) in cases {
        let world = World::new();
        damage(&world.path().join(file));
        let report = world.read(GOOD).expect_err(file);
        let found = lines(&report);
        assert!(
            found.len() == 1 && found[0].0 == Some(line) && found[0].1.contains(hint) && found[0].1.contains(file),
            "{file} {hint}: {report}"
        );
        assert!(!report.to_string().contains("hunter2"), "{report}");
    }
}

#[test]
fn t9_a_secret_in_the_wrong_place_is_not_repeated() {
    let secret = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
    let world = World::new();
    for line in [
        format!("secret_env = \"{secret}\""),
        format!("secret_file = \"{secret}\""),
        format!("secret = \"{secret}\""),
        format!("secret_env = \"{secret}"),
        format!("secret_env = {secret}"),
        "secret_env = \"BAD_SECRET\"".into(),
        "secret_env = \"hunter2 hunter2\"".into(),
    ] {
        let report = world.read(&GOOD.replace("secret_env = \"SHOP_SECRET\"", &line)).expect_err(&line).to_string();
        assert!(!report.contains(secret) && !report.contains("hunter2"), "{line}: {report}");
        assert!(report.contains("line 21: ") || report.contains("line 18: "), "{line}: {report}");
    }
}

#[test]
fn sites_that_cannot_stand_together() {
    let world = World::new();
    let block = |origin: &str, name: &str, more: &str| {
        format!(
            "[[site]]\norigin = \"{origin}\"\nconsent = \"implied\"\nsecret_file = \"{name}.secret\"\nkey_file = \"{name}.json\"\n{more}"
        )
    };
    let primary = "[primary]\norigin = \"https://www.brand.example\"\nserve = false\n";
    let (shop, copied) = (block("https://shop.example", "shop", ""), block("https://learn.example", "shop", ""));
    for (text, expected) in [
        (primary.to_owned(), &["no site is served here"][..]),
        (
            format!("{primary}{shop}{copied}"),
            &[
                "secret_file shop.secret: the secret is also that of secret_file shop.secret on line 7",
                "key_file shop.json: the signing key is also that of key_file shop.json on line 8",
            ],
        ),
        (format!("{primary}whoami = true\nlegacy_browsers = true\n{shop}"), &["whoami has no use", "legacy_browsers has no use"]),
        (
            format!(
                "{primary}{shop}[[site]]\norigin = \"https://learn.example\"\nserve = false\nsecret_file = \"learn.secret\"\n"
            ),
            &["neither this site nor the primary is served here"],
        ),
        (
            format!("profile = \"localhost\"\n{}{}", primary.replace("https://www.brand.example", "http://brand.localhost"), {
                block("http://shop.localhost:8400", "shop", "") + &block("https://shop.localhost:8400", "learn", "")
            }),
            &["are one Host"],
        ),
        (shop.clone(), &["[primary]"]),
        (shop.replace("[[site]]", "[site]"), &["[primary]", "[[site]], with double brackets"]),
        (primary.replace("[primary]", "[[primary]]") + &shop, &["write [primary] once, with single brackets"]),
    ] {
        let report = world.read(&text).expect_err(&text);
        for what in expected {
            assert!(report.to_string().contains(what), "{what}: {report}");
        }
        assert_eq!(report.mistakes().len(), expected.len(), "{report}");
    }
    let many = (0..10_001).map(|number| format!("[[site]]\norigin = \"https://s{number}.example\"\n")).collect::<String>();
    let report = world.read(&format!("{primary}{many}")).unwrap_err();
    assert!(report.mistakes().len() == 1 && report.to_string().contains("10001"), "{report}");
}

#[test]
fn a_file_that_is_no_toml_or_no_text_has_one_mistake_with_its_line() {
    let world = World::new();
    let path = world.path().join("throughline.toml");
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        Config::load(&path, &env).unwrap_err().to_string().replace(world.path().to_str().unwrap(), "")
    };
    assert!(refused(b"profile = \"production\"\n\nprofile = \"x\"\n").starts_with("/throughline.toml:3: is not TOML: "));
    assert!(refused(b"[primary\n").starts_with("/throughline.toml:1: is not TOML: "));
    assert!(refused(b"# ok\n# \xff\n").starts_with("/throughline.toml:2: is not UTF-8"));
    assert!(Config::load(&world.path().join("none.toml"), &env).unwrap_err().to_string().contains("throughline init"));
    fs::write(&path, GOOD.replace('\n', "\r\n")).unwrap();
    assert!(Config::load(&path, &env).is_ok());
}
