//! `init`, `check` and `keys`, one after the other, as someone who sets up a company's sites uses them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use throughline::base::clock::{Clock as _, ManualClock, UnixSeconds};
use throughline::base::random::SystemRandom;
use throughline::cli::{Failure, check, init, keys, visitor};
use throughline::config::{Config, Profile};
use throughline::domain::consent::ConsentPolicy;
use throughline::token::keyfile::read_key_file;
use throughline::token::keyset::{KeyState, PUBLISH_AHEAD};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Keys(keys::KeysArgs),
    Visitor(visitor::VisitorArgs),
}

/// A folder and a clock.
struct Desk {
    folder: tempfile::TempDir,
    clock: ManualClock,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: ManualClock::at(UnixSeconds(1_790_000_000)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command line, in which `@` stands for the folder.
    fn run(&self, line: &str) -> Result<String, Failure> {
        let folder = self.folder.path().to_str().unwrap();
        let words = line.split_whitespace().map(|word| word.replace('@', folder));
        let command =
            Command::try_parse_from(std::iter::once("throughline".to_owned()).chain(words)).map_err(Failure::mistake)?;
        let (mut out, mut aside, random) = (Vec::new(), Vec::new(), SystemRandom::new());
        match &command.what {
            What::Init(args) => init::run(args, &self.clock, &random, &mut out),
            What::Check(args) => check::run(args, &self.clock, &|_| None, &mut out),
            What::Keys(args) => keys::run(args, &self.clock, &random, &|_| None, &mut out, &mut aside),
            What::Visitor(args) => visitor::run(args, &self.clock, &|_| None, &mut std::io::empty(), &mut out),
        }?;
        out.extend(aside);
        Ok(String::from_utf8(out).unwrap().replace(folder, "@"))
    }
}

const INIT: &str = "init --primary https://www.brand.example --site https://shop.example --site https://learn.example --consent implied --folder @";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn k4_init_then_check_then_load() {
    let desk = Desk::new();
    let said = desk.run(INIT).unwrap();
    assert!(
        said.contains("wrote @/throughline.toml") && said.ends_with("Next: throughline check --config @/throughline.toml\n"),
        "{said}"
    );
    assert_eq!((mode(&desk.path("secrets")), mode(&desk.path("keys"))), (0o700, 0o700));
    for host in ["www.brand.example", "shop.example", "learn.example"] {
        assert_eq!(mode(&desk.path(&format!("secrets/{host}"))), 0o600);
        assert_eq!(mode(&desk.path(&format!("keys/{host}.json"))), 0o600);
        assert!(said.contains(&format!("wrote @/secrets/{host}\n")), "{said}");
    }
    let said = desk.run("check --config @/throughline.toml").unwrap();
    let ok: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("ok       ")).collect();
    assert_eq!(
        ok,
        [
            "configuration: @/throughline.toml: profile production, listens on http://127.0.0.1:8400",
            "site: https://www.brand.example: primary, broker here, consent implied",
            "site: https://shop.example: secondary, satellite here, consent implied",
            "site: https://learn.example: secondary, satellite here, consent implied",
            "admin: operators: look at http://127.0.0.1:8401",
            "store: visitor records: SQLite in @/throughline.sqlite, kept 761 days after a visitor was last seen",
        ]
    );
    // The same for scripts.
    let json: serde_json::Value = serde_json::from_str(&desk.run("check --config @/throughline.toml --json").unwrap()).unwrap();
    assert_eq!((&json["outcome"], json["findings"].as_array().unwrap().len()), (&"ok".into(), 6), "{json}");
    assert_eq!(said.matches("active     signs since 2026-09-21T14:13:20Z\n").count(), 3, "{said}");

    let config = Config::load(&desk.path("throughline.toml"), &|_| None).unwrap();
    assert_eq!((config.profile, config.served.len(), config.registered.len()), (Profile::Production, 3, 2));
    assert!(config.served.iter().all(|served| served.site.consent == ConsentPolicy::Implied));
}

#[test]
fn init_on_this_machine_listens_where_its_origins_are() {
    let desk = Desk::new();
    let line = "init --primary http://brand.localhost:8400 --site http://shop.localhost:8400 --site http://shop.localhost:8401 \
        --site http://[::1]:8400 --consent required --profile localhost --folder @/new/folder";
    desk.run(line).unwrap();
    let config = Config::load(&desk.path("new/folder/throughline.toml"), &|_| None).unwrap();
    assert_eq!(config.listen.addresses, ["127.0.0.1:8400".parse().unwrap(), "127.0.0.1:8401".parse().unwrap()]);
    assert_eq!(config.admin.unwrap().address, "127.0.0.1:8402".parse().unwrap(), "where no visitor comes");
    assert!(desk.path("new/folder/secrets/shop.localhost-8401").exists() && desk.path("new/folder/keys/__1.json").exists());
}

#[test]
fn what_init_shows_as_comments_can_be_switched_on() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    for file in ["cert.pem", "key.pem", "extra-ca.pem"] {
        fs::write(desk.path(file), "not looked at").unwrap();
    }
    fs::set_permissions(desk.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(desk.path("public")).unwrap();
    let text = fs::read_to_string(desk.path("throughline.toml")).unwrap();
    let setting = |line: &str| {
        line.starts_with('[')
            || line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    };
    let on: String =
        text.lines().map(|line| line.strip_prefix("# ").filter(|line| setting(line)).unwrap_or(line).to_owned() + "\n").collect();
    let config = Config::from_text(&on, desk.folder.path(), &|_| None).unwrap();
    assert!(config.listen.tls.is_some() && config.outbound.ca_file.is_some() && config.served[0].files.is_some());
    // What is shown as the default is the default.
    let plain = Config::from_text(&text, desk.folder.path(), &|_| None).unwrap();
    assert_eq!((on.lines().count(), plain.limits.replay_entries), (text.lines().count(), config.limits.replay_entries));
    assert_eq!(plain.served[0].site.cookie_life, config.served[0].site.cookie_life);
    assert_eq!(
        (plain.outbound.probe_interval, plain.outbound.probe_timeout),
        (config.outbound.probe_interval, config.outbound.probe_timeout)
    );
    assert_eq!((plain.log, plain.broker), (config.log, config.broker));
}

#[test]
fn init_overwrites_nothing_and_lists_what_is_in_the_way() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    let before = fs::read(desk.path("secrets/shop.example")).unwrap();
    let failure = desk.run(INIT).unwrap_err();
    assert_eq!(failure.code(), 2);
    for file in ["throughline.toml", "secrets/www.brand.example", "keys/learn.example.json"] {
        assert!(failure.to_string().contains(file), "{failure}");
    }
    assert_eq!(fs::read(desk.path("secrets/shop.example")).unwrap(), before);
    // One leftover is enough, and nothing is written beside it.
    fs::remove_file(desk.path("throughline.toml")).unwrap();
    assert!(desk.run(INIT).unwrap_err().to_string().contains("secrets/shop.example"));
    assert!(!desk.path("throughline.toml").exists());
}

#[test]
fn init_that_fails_leaves_no_file_behind() {
    let desk = Desk::new();
    // Where the last key file would first be written, something is in the way.
    let in_the_way = desk.path(&format!("keys/learn.example.json.new-{}", std::process::id()));
    fs::create_dir_all(&in_the_way).unwrap();
    assert_eq!(desk.run(INIT).unwrap_err().code(), 1);
    assert_eq!(fs::read_dir(desk.path("secrets")).unwrap().count(), 0);
    fs::remove_dir(in_the_way).unwrap();
    desk.run(INIT).unwrap();
}

#[test]
fn u4_init_refuses_what_the_configuration_would() {
    let desk = Desk::new();
    for (line, hint) in [
        ("init --primary https://www.brand.example --folder @", "--consent required"),
        ("init --primary https://www.brand.example --consent yes --folder @", "not a policy"),
        ("init --primary https://*.brand.example --consent implied --folder @", "wildcard"),
        ("init --primary https://www.brand.example/ --consent implied --folder @", "write \"https://www.brand.example\""),
        ("init --primary http://www.brand.example --consent implied --folder @", "plain http"),
        ("init --primary http://brand.localhost --consent implied --folder @", "profile = \"localhost\""),
        ("init --primary https://www.brand.example --consent implied --profile localhost --folder @", "not on this machine"),
        ("init --primary https://www.brand.example --site https://www.brand.example --consent implied --folder @", "twice"),
    ] {
        let failure = desk.run(line).expect_err(line);
        assert!(failure.code() == 2 && failure.to_string().contains(hint), "{line}: {failure}");
    }
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 0);
}

#[test]
fn check_reports_every_mistake() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    let file = desk.path("throughline.toml");
    let text = fs::read_to_string(&file).unwrap().replace("consent = \"implied\"", "consent = \"whatever\"");
    fs::write(&file, text + "levle = 1\n").unwrap();
    fs::set_permissions(desk.path("keys/shop.example.json"), fs::Permissions::from_mode(0o644)).unwrap();
    let failure = desk.run("check --config @/throughline.toml").unwrap_err();
    assert_eq!((failure.code(), failure.to_string().lines().count()), (2, 5), "{failure}");
    assert!(failure.to_string().contains("chmod 600"), "{failure}");
    assert_eq!(desk.run("check --config @/none.toml").unwrap_err().code(), 2);
}

#[test]
fn k1_rotate_keeps_the_old_key_until_its_time_is_over() {
    let desk = Desk::new();
    let file = desk.path("shop.json");
    let created = desk.run("keys create @/shop.json").unwrap();
    let old = created.split_whitespace().nth(2).unwrap().to_owned();
    assert!(created.contains("active     signs since 2026-09-21T14:13:20Z\n"), "{created}");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(desk.run("keys create @/shop.json").unwrap_err().code(), 2);

    desk.clock.advance(Duration::from_secs(3600));
    let rotated = desk.run("keys rotate @/shop.json").unwrap();
    assert!(
        rotated.contains(&format!("{old}  active     signs since 2026-09-21T14:13:20Z until 2026-09-21T15:28:20Z")),
        "{rotated}"
    );
    assert!(rotated.contains("published  in the JWKS since 2026-09-21T15:13:20Z, signs from 2026-09-21T15:28:20Z"), "{rotated}");
    assert!(rotated.contains("must have this file before 2026-09-21T15:18:20Z"), "{rotated}");
    let signer = || read_key_file(&file).unwrap().signing_key(desk.clock.now()).unwrap().public().id().to_string();
    assert_eq!((signer(), mode(&file)), (old.clone(), 0o600));

    desk.clock.advance(PUBLISH_AHEAD);
    assert_ne!(signer(), old);
    assert!(
        desk.run("keys list @/shop.json")
            .unwrap()
            .contains(&format!("{old}  retired    signed until 2026-09-21T15:28:20Z, in the JWKS until"))
    );
    desk.clock.advance(Duration::from_secs(3600));
    let rotated = desk.run("keys rotate @/shop.json").unwrap();
    assert!(rotated.contains(&format!("took out key {old}, of no more use")), "{rotated}");
    assert_eq!(read_key_file(&file).unwrap().keys().len(), 2);
}

#[test]
fn k1_rotate_now_signs_at_once_and_says_what_it_costs() {
    let desk = Desk::new();
    desk.run("keys create @/shop.json").unwrap();
    // Even in the same second, and beside a key that is waiting for its time.
    desk.run("keys rotate @/shop.json").unwrap();
    let said = desk.run("keys rotate --now @/shop.json").unwrap();
    let keys = read_key_file(&desk.path("shop.json")).unwrap();
    let signer = keys.signing_key(desk.clock.now()).unwrap().public().id().to_string();
    assert!(said.contains(&format!("added key {signer}")) && said.contains(&format!("they refuse tokens of {signer}")), "{said}");
    let states: Vec<_> = (0..3).map(|index| keys.state(index, desk.clock.now())).collect();
    assert_eq!(states, [KeyState::Retired, KeyState::Active, KeyState::Published]);
    assert!(desk.run("keys list @/none.json").unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_site_that_comes_later_gets_its_files_from_keys() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    desk.run("keys secret @/secrets/late.example").unwrap();
    desk.run("keys create @/keys/late.example.json").unwrap();
    assert_eq!(desk.run("keys secret @/secrets/late.example").unwrap_err().code(), 2);
    let file = desk.path("throughline.toml");
    let site = "\n[[site]]\norigin = \"https://late.example\"\nconsent = \"implied\"\nsecret_file = \"secrets/late.example\"\nkey_file = \"keys/late.example.json\"\n";
    fs::write(&file, fs::read_to_string(&file).unwrap() + site).unwrap();
    assert!(desk.run("check --config @/throughline.toml").unwrap().contains("site: https://late.example: secondary"));
}

#[test]
fn the_api_key_is_printed_where_the_secret_is_known() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    let file = desk.path("throughline.toml");
    let text = fs::read_to_string(&file).unwrap();
    let key_of = |site: &str| {
        let said = desk.run(&format!("keys api --config @/throughline.toml --site {site}")).unwrap();
        let (key, aside) = said.split_once('\n').unwrap();
        assert!(key.len() == 43 && aside.starts_with(&format!("The API key of {site} is a secret")), "{said}");
        key.to_owned()
    };
    let [brand, shop] = ["https://www.brand.example", "https://shop.example"].map(key_of);
    assert_ne!(brand, shop);
    // The broker has the secret of a site that is served elsewhere.
    let shop_block = text.split("\n[[site]]").nth(1).unwrap();
    let secret = shop_block.lines().find(|line| line.starts_with("secret_file")).unwrap();
    let elsewhere = format!("\norigin = \"https://shop.example\"\nserve = false\n{secret}\n");
    fs::write(&file, text.replace(shop_block, &elsewhere)).unwrap();
    assert_eq!(key_of("https://shop.example"), shop);
    let failure = desk.run("keys api --config @/throughline.toml --site https://other.example").unwrap_err();
    assert!(failure.code() == 2 && failure.to_string().contains("has no secret in this configuration"), "{failure}");
}

#[test]
fn check_says_what_the_store_is_and_changes_nothing() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    let names = || fs::read_dir(desk.folder.path()).unwrap().count();
    let before = names();
    let said = desk.run("check --config @/throughline.toml").unwrap();
    assert!(said.contains("         not there yet: the broker makes it at its start\n"), "{said}");
    assert_eq!(names(), before);

    // With a server, its address is shown, and neither user nor password.
    let file = desk.path("throughline.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[store]\nurl = \"postgres://ann:hunter2@127.0.0.1:1/visitors\"\n")).unwrap();
    let said = desk.run("check --config @/throughline.toml").unwrap();
    assert!(said.contains("warning  store: visitor records: PostgreSQL, database visitors at 127.0.0.1:1"), "{said}");
    assert!(said.contains("unavailable: error connecting to server"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("ann"), "{said}");

    fs::write(&file, text).unwrap();
    fs::write(desk.path("throughline.sqlite"), "somebody's diary, and no database of anybody ".repeat(10)).unwrap();
    let failure = desk.run("check --config @/throughline.toml").unwrap_err();
    assert!(failure.code() == 2 && failure.to_string().contains("[store] the store refuses"), "{failure}");
}

/// Docker makes a folder for a bind mount of a file that is not there.
#[test]
fn a11_a_folder_in_the_way_of_a_file_is_refused_with_what_to_write() {
    for (name, key) in [
        ("throughline.sqlite", "[store] has no url"),
        ("throughline.refusals", "[outbound] has no refusals_file"),
        ("throughline.siblings", "[outbound] has no siblings_file"),
    ] {
        let desk = Desk::new();
        desk.run(INIT).unwrap();
        fs::create_dir(desk.path(name)).unwrap();
        for command in ["check", "visitor show 2f1c0c3e-8f4b-4a51-9d2f-6a1b3c4d5e6f"] {
            let failure = desk.run(&format!("{command} --config @/throughline.toml")).unwrap_err();
            let told = failure.to_string();
            assert!(failure.code() == 2 && told.contains(key) && told.contains(&format!("{name} is a folder")), "{told}");
        }
        // With the key, and the folder still in the way of the default.
        let file = desk.path("throughline.toml");
        let text = fs::read_to_string(&file).unwrap();
        let (table, key) = key.split_once(" has no ").unwrap();
        let scheme = if key == "url" { "sqlite:" } else { "" };
        let added = format!("{table}\n{key} = \"{scheme}elsewhere\"\n");
        let heading = format!("\n{table}\n");
        let is_there = text.contains(&heading);
        fs::write(&file, if is_there { text.replace(&heading, &format!("\n{added}")) } else { text + &added }).unwrap();
        desk.run("check --config @/throughline.toml").unwrap();
        // And with the folder where the key says.
        fs::create_dir(desk.path("elsewhere")).unwrap();
        let told = desk.run("check --config @/throughline.toml").unwrap_err().to_string();
        assert!(told.contains(&format!("{key}: ")) && told.contains("elsewhere is a folder"), "{told}");
    }
}

/// Each answer with the file would close it, and cost the process its locks on it. And each visitor could fetch all records.
#[test]
fn a11_a_store_among_the_pages_of_a_site_is_refused() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    fs::create_dir_all(desk.path("pages/deep")).unwrap();
    fs::create_dir_all(desk.path("pages-of-another")).unwrap();
    std::os::unix::fs::symlink(desk.path("pages"), desk.path("link")).unwrap();
    let file = desk.path("throughline.toml");
    let text = fs::read_to_string(&file).unwrap();
    for (pages, store, is_refused) in [
        ("pages", "pages/store.sqlite", true),
        ("pages", "pages/deep/store.sqlite", true),
        ("link", "pages/deep/../store.sqlite", true),
        ("pages", "link/store.sqlite", true),
        (".", "store.sqlite", true),
        ("pages", "store.sqlite", false),
        ("pages", "pages-of-another/store.sqlite", false),
    ] {
        let with = text.replacen("[primary]\n", &format!("[primary]\nfiles = \"{pages}\"\n"), 1);
        fs::write(&file, format!("{with}\n[store]\nurl = \"sqlite:{store}\"\n")).unwrap();
        match desk.run("check --config @/throughline.toml") {
            Ok(_) => assert!(!is_refused, "{pages} {store}"),
            Err(failure) => {
                let told = failure.to_string();
                assert!(
                    is_refused && told.contains("[store] url: ") && told.contains("sent to every visitor"),
                    "{store}: {told}"
                );
            }
        }
    }
}

#[test]
fn visitor_needs_a_store_that_is_there() {
    let desk = Desk::new();
    desk.run(INIT).unwrap();
    let id = "2f1c0c3e-8f4b-4a51-9d2f-6a1b3c4d5e6f";
    for what in ["show", "export", "erase"] {
        let failure = desk.run(&format!("visitor {what} {id} --config @/throughline.toml")).unwrap_err();
        assert!(failure.code() == 2 && failure.to_string().contains("there is no store yet"), "{failure}");
        assert!(!desk.path("throughline.sqlite").exists(), "{what}");
        assert_eq!(desk.run(&format!("visitor {what} {} --config @/throughline.toml", id.to_uppercase())).unwrap_err().code(), 2);
    }
    let file = desk.path("throughline.toml");
    let text = fs::read_to_string(&file).unwrap();
    let begin = text.find("\n[primary]").unwrap() + 1;
    let primary = text[begin..text.find("\n[[site]]").unwrap()].to_owned();
    fs::write(&file, text.replace(&primary, "[primary]\norigin = \"https://www.brand.example\"\nserve = false\n")).unwrap();
    let failure = desk.run(&format!("visitor show {id} --config @/throughline.toml")).unwrap_err();
    assert!(failure.code() == 2 && failure.to_string().contains("at the broker"), "{failure}");
}
