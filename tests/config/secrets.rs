//! Secrets and keys: one site's each, and readable for their owner alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use throughline::token::key::SigningKey;
use throughline::token::keyfile::{read_key_file, write_key_file, write_secret_file};
use throughline::token::keyset::{KeySet, TimedKey};

use crate::world::{GOOD, World, lines};

const SHOP_SECRET: &str = "IiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_QEE";

fn copy(folder: &Path, from: &str, to: &str) {
    write_secret_file(&folder.join(to), &fs::read_to_string(folder.join(from)).unwrap()).unwrap();
}

fn link(folder: &Path, from: &str, to: &str) {
    fs::remove_file(folder.join(to)).unwrap();
    symlink(folder.join(from), folder.join(to)).unwrap();
}

/// Puts the first key of `from` behind those of `to`.
fn add_key(folder: &Path, from: &str, to: &str) {
    let [from, to] = [from, to].map(|name| folder.join(name));
    let sets = [&to, &from].map(|file| read_key_file(file).unwrap());
    let keys = sets.iter().flat_map(KeySet::keys).map(|TimedKey { seed, publish_at, activate_at, .. }| TimedKey {
        key: SigningKey::from_seed(seed).unwrap(),
        seed: seed.clone(),
        publish_at: *publish_at,
        activate_at: *activate_at,
    });
    write_key_file(&to, &KeySet::new(keys.collect())).unwrap();
}

/// Case D8: `check` passed, and both sites had one API key.
#[test]
fn k5_two_sites_never_share_a_secret_or_a_key() {
    type Damage<'a> = &'a dyn Fn(&Path);
    type Case<'a> = (Damage<'a>, Option<(&'a str, &'a str)>, usize, [&'a str; 2]);
    let nothing: Damage<'_> = &|_| ();
    // What happens to the files, a line that is written otherwise, and the line and the two places that are named.
    let cases: [Case<'_>; 10] = [
        (&|folder| copy(folder, "brand.secret", "learn.secret"), None, 30, ["learn.secret", "brand.secret on line 12"]),
        (&|folder| link(folder, "brand.secret", "learn.secret"), None, 30, ["learn.secret", "brand.secret on line 12"]),
        (
            &|folder| fs::hard_link(folder.join("brand.secret"), folder.join("x")).unwrap(),
            Some(("learn.secret", "x")),
            30,
            ["secret_file x", "brand.secret on line 12"],
        ),
        (nothing, Some(("learn.secret", "./brand.secret")), 30, ["./brand.secret", "brand.secret on line 12"]),
        (nothing, Some(("learn.secret", "brand.secret")), 30, ["brand.secret", "brand.secret on line 12"]),
        (
            &|folder| write_secret_file(&folder.join("learn.secret"), &format!("{SHOP_SECRET}\r\n\n")).unwrap(),
            None,
            30,
            ["learn.secret", "secret_env SHOP_SECRET on line 21"],
        ),
        (
            &|folder| write_secret_file(&folder.join("brand.secret"), SHOP_SECRET).unwrap(),
            None,
            21,
            ["secret_env SHOP_SECRET", "brand.secret on line 12"],
        ),
        (&|folder| copy(folder, "brand.json", "shop.json"), None, 22, ["key_file shop.json", "key_file brand.json on line 13"]),
        (&|folder| link(folder, "brand.json", "shop.json"), None, 22, ["key_file shop.json", "key_file brand.json on line 13"]),
        (
            &|folder| add_key(folder, "brand.json", "shop.json"),
            None,
            22,
            ["key_file shop.json", "key_file brand.json on line 13"],
        ),
    ];
    for (index, (damage, otherwise, line, places)) in cases.into_iter().enumerate() {
        let world = World::new();
        damage(world.path());
        let text = otherwise.map_or_else(|| GOOD.to_owned(), |(from, to)| GOOD.replace(from, to));
        let report = world.read(&text).expect_err("one secret or key for two sites");
        let found = lines(&report);
        assert!(found.len() == 1 && found[0].0 == Some(line), "{index}: {report}");
        assert!(places.iter().all(|place| found[0].1.contains(place)), "{index}: {report}");
        assert!(!report.to_string().contains(&SHOP_SECRET[..8]), "{index}: {report}");
    }
    assert!(World::new().read(GOOD).is_ok());
}

/// Case D11.
#[test]
fn k4_a_tls_key_that_others_can_read_stops_the_start() {
    for (mode, is_refused) in [(0o644, true), (0o640, true), (0o604, true), (0o660, true), (0o600, false), (0o400, false)] {
        let world = World::new();
        fs::set_permissions(world.path().join("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
        let outcome = world.read(GOOD);
        let Err(report) = outcome else {
            assert!(!is_refused, "{mode:o}");
            continue;
        };
        let found = lines(&report);
        assert!(is_refused && found.len() == 1 && found[0].0 == Some(6), "{mode:o}: {report}");
        assert!(found[0].1.contains("key.pem") && found[0].1.contains("run: chmod 600"), "{report}");
    }
    // A certificate is public, and so are certificate authorities.
    let world = World::new();
    for file in ["cert.pem", "extra-ca.pem"] {
        fs::set_permissions(world.path().join(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert!(world.read(GOOD).is_ok());
}
