//! docker-compose.yml, as docker-compose itself reads it: no container is started here, so everything that it names is looked
//! at instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const NODES: [&str; 4] = ["broker-1", "broker-2", "satellite-1", "satellite-2"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file with its variables and references filled in. What docker-compose does not know is an error there.
fn services() -> Value {
    let read = Command::new("docker-compose")
        .args(["--file", "docker-compose.yml", "config"])
        .current_dir(root())
        .env("POSTGRES_PASSWORD", "secret")
        .output()
        .expect("the Debian package docker-compose");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let mut python = Command::new("python3")
        .args(["-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    std::io::Write::write_all(&mut python.stdin.take().expect("a pipe"), &read.stdout).expect("python3 reads");
    let output = python.wait_with_output().expect("python3 ends");
    let whole: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    whole["services"].clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Where a path of a service comes from: a folder of this repository, or the name of a volume; and whether it is read-only.
fn mounts(service: &Value) -> Vec<(String, String, bool)> {
    texts(&service["volumes"])
        .into_iter()
        .map(|text| {
            let parts: Vec<_> = text.split(':').collect();
            (parts[0].to_owned(), parts[1].to_owned(), parts.get(2) == Some(&"ro"))
        })
        .collect()
}

#[test]
fn every_service_has_no_rights_and_a_file_system_that_it_cannot_write() {
    let services = services();
    let services = services.as_object().expect("services");
    assert_eq!(services.len(), 8, "{:?}", services.keys());
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["privileged"].is_null(), "{name}");
        let image = service["image"].as_str().expect("an image");
        let version = image.split_once(':').map_or("", |(_, version)| version);
        assert!(version.starts_with(|letter: char| letter.is_ascii_digit()), "{image} has no version");
        assert_eq!(service["cap_add"].is_null(), name != "caddy", "{name}");
        if name != "caddy" {
            assert!(service["user"].as_str().is_some_and(|user| !user.starts_with('0') && user != "root"), "{name}");
        }
        for (source, _, _) in mounts(service) {
            assert!(!source.starts_with('/') || Path::new(&source).exists(), "{name}: {source}");
        }
    }
    let ports: Vec<_> = services.iter().filter(|(_, service)| !service["ports"].is_null()).map(|(name, _)| name).collect();
    assert_eq!(ports, ["caddy"], "nothing else is reached from outside");
    for node in NODES {
        assert_eq!(services[node]["stop_grace_period"], "40s", "{node}");
        assert_eq!(services[node]["depends_on"]["init"]["condition"], "service_completed_successfully", "{node}");
    }
}

/// The image's folders with what a node finds in them. Its volumes are folders here.
fn image(services: &Value, node: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (source, target, _) in mounts(&services[node]) {
        let place = folder.path().join(target.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a folder")).expect("folders");
        if source.starts_with('/') {
            std::os::unix::fs::symlink(&source, &place).expect("a link");
            // What stands behind a link has other neighbours than a mount has.
            let copied = place.with_extension("copy");
            assert!(Command::new("cp").arg("-rL").arg(&place).arg(&copied).status().is_ok_and(|status| status.success()));
            fs::remove_file(&place).and_then(|()| fs::rename(&copied, &place)).expect("a copy");
        } else {
            fs::create_dir_all(&place).expect("a volume");
        }
    }
    folder
}

/// Runs a command of the program as a service does, but below `image`.
fn run(image: &Path, words: &[String], environment: &Value) -> (bool, String) {
    let below = |word: &String| word.replace("/etc/throughline", &image.join("etc/throughline").display().to_string());
    let variables = environment.as_object().into_iter().flatten();
    let output = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(words.iter().map(below))
        .envs(variables.filter_map(|(name, value)| Some((name, value.as_str()?))))
        .output()
        .expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn init_makes_all_that_the_nodes_configurations_name_and_check_passes() {
    let services = services();
    let init: Vec<String> = texts(&services["init"]["command"]).into_iter().map(String::from).collect();
    let config = "/etc/throughline/config/throughline.toml".to_owned();
    for node in NODES {
        let image = image(&services, node);
        for time in ["at first", "after a restart"] {
            let (well, said) = run(image.path(), &init, &Value::Null);
            assert!(well, "{time}: {said}");
        }
        let (well, said) =
            run(image.path(), &["check".to_owned(), "--config".to_owned(), config.clone()], &services[node]["environment"]);
        assert!(well, "{node}: {said}");
        assert!(said.contains("secondary"), "{said}");
    }
}

/// What one file says of an address, the others say too.
#[test]
fn the_addresses_of_compose_are_those_of_the_configurations() {
    let services = services();
    let address = |name: &str| services[name]["networks"]["company"]["ipv4_address"].as_str().expect("an address").to_owned();
    let read = |file: &str| fs::read_to_string(root().join(file)).expect("a file");
    let (caddyfile, broker, satellite) =
        (read("deploy/Caddyfile"), read("deploy/broker/throughline.toml"), read("deploy/satellite/throughline.toml"));
    for node in NODES {
        assert!(caddyfile.contains(&format!("{}:8400", address(node))), "{node}");
    }
    for text in [&broker, &satellite] {
        assert_eq!(text.matches(&format!("\"{}:8400\"", address("caddy"))).count(), 3);
    }
    assert!(satellite.contains(&format!("redis://{}:6379", address("valkey"))));
    let database = services["broker-1"]["environment"]["DATABASE_URL"].as_str().expect("a URL");
    assert!(database.contains(&format!("@{}:5432/", address("postgres"))), "{database}");
    assert!(services["caddy"]["ports"][0].as_str().is_some_and(|port| port.starts_with("127.0.0.1:8400:8400")));
}

/// The version that the packages of this machine have; compose has a newer one, with the same words.
#[test]
fn caddy_takes_the_caddyfile() {
    let file: PathBuf = root().join("deploy/Caddyfile");
    let home = tempfile::tempdir().expect("a folder");
    let checked = Command::new("caddy")
        .args(["validate", "--adapter", "caddyfile", "--config"])
        .arg(file)
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .output()
        .expect("caddy runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
