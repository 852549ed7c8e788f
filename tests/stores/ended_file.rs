//! A14: the list of ended IDs on disk comes back whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::origin::Origin;
use throughline::store::ended_file::{ENTRY, EndedFile, HEADER};

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

fn id(number: u64) -> VisitorId {
    let digest = ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes());
    let bytes = digest.as_ref()[..16].try_into().unwrap();
    VisitorId::from_bytes(uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes()).unwrap()
}

fn ids(numbers: std::ops::Range<u64>) -> Vec<VisitorId> {
    numbers.map(id).collect()
}

fn primary() -> Origin {
    Origin::parse("https://www.brand.example").unwrap()
}

fn open(folder: &TempDir) -> (PathBuf, EndedFile) {
    let path = folder.path().join("ended");
    (path.clone(), EndedFile::new(path, &primary()))
}

/// A whole list of these, complete as of [`NOW`].
fn written(folder: &TempDir, ids: &[VisitorId]) -> (PathBuf, EndedFile) {
    let (path, file) = open(folder);
    let mut whole = file.begin().unwrap().unwrap();
    ids.chunks(7).for_each(|some| whole.add(some).unwrap());
    whole.place(NOW, Vec::new).unwrap();
    (path, file)
}

/// What a start finds: when the list was complete, and the IDs.
fn load(path: &Path, primary: &Origin) -> Result<Option<(UnixSeconds, Vec<VisitorId>)>, String> {
    let mut found = Vec::new();
    let loaded = EndedFile::new(path.to_owned(), primary).load(|id| found.push(id));
    match loaded {
        Ok(at) => Ok(at.map(|at| (at, found))),
        Err(mistake) => {
            assert!(found.is_empty(), "a file that is refused gives nothing");
            Err(mistake.to_string())
        }
    }
}

fn found(path: &Path) -> (UnixSeconds, Vec<VisitorId>) {
    load(path, &primary()).unwrap().expect("a list")
}

#[test]
fn a14_the_list_comes_back_with_its_age_and_with_what_was_learned_since() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = open(&folder);
    assert_eq!(load(&path, &primary()), Ok(None), "no file");
    assert!(file.append(&ids(0..1)).is_err(), "IDs without a whole list would pass for one");
    assert_eq!(load(&path, &primary()), Ok(None));
    let (path, file) = written(&folder, &ids(0..100));
    assert_eq!(found(&path), (NOW, ids(0..100)));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, HEADER + 100 * ENTRY));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    file.append(&ids(100..103)).unwrap();
    assert_eq!(found(&path), (NOW, ids(0..103)), "IDs that are told one by one make no list complete");
    file.confirm(UnixSeconds(NOW.0 + 60)).unwrap();
    assert_eq!(found(&path), (UnixSeconds(NOW.0 + 60), ids(0..103)));
    let (path, _) = written(&folder, &[]);
    assert_eq!(found(&path), (NOW, Vec::new()), "an empty list is a list");
}

#[test]
fn a14_an_entry_that_was_cut_off_is_dropped_and_costs_no_other() {
    for torn in 1..ENTRY {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = written(&folder, &ids(0..10));
        file.append(&ids(10..12)).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - torn).unwrap();
        assert_eq!(found(&path), (NOW, ids(0..11)), "{torn}");
        file.append(&ids(20..21)).unwrap();
        assert_eq!(found(&path).1, [ids(0..11), ids(20..21)].concat(), "{torn}");
        file.confirm(NOW).unwrap();
        assert_eq!(found(&path).1.len(), 12);
    }
}

#[test]
fn a14_a_foreign_file_counts_as_none_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = written(&folder, &ids(0..10));
    let good = fs::read(&path).unwrap();
    let other = Origin::parse("https://www.other.example").unwrap();
    assert!(load(&path, &other).unwrap_err().contains("another primary"));
    assert!(EndedFile::new(path.clone(), &other).append(&ids(0..1)).is_err());
    let text = b"[]".repeat(100);
    let zeros = vec![0; good.len()];
    let magic_alone = good[..8].to_vec();
    let of_a_later_version = [&good[..15], &[2], &good[16..]].concat();
    for bad in [Vec::new(), b"\n".to_vec(), magic_alone, text, zeros, of_a_later_version, good[..79].to_vec()] {
        fs::write(&path, &bad).unwrap();
        assert!(load(&path, &primary()).is_err(), "{} bytes", bad.len());
        assert!(file.append(&ids(0..1)).is_err() && file.confirm(NOW).is_err());
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
    // The next whole list takes its place.
    let (path, _) = written(&folder, &ids(0..3));
    assert_eq!(found(&path).1, ids(0..3));
    // A file that only seems to be large is not read to its end.
    let file = File::options().write(true).open(&path).unwrap();
    for length in [1 << 30, 1 << 40] {
        file.set_len(length).unwrap();
        assert!(load(&path, &primary()).is_err(), "{length}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(load(&path, &primary()).is_err(), "a folder");
}

#[test]
fn a14_a_file_that_another_user_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = written(&folder, &ids(0..10));
    for (mode, is_taken) in [(0o600, true), (0o640, true), (0o644, true), (0o620, false), (0o602, false), (0o666, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!((load(&path, &primary()).is_ok(), file.confirm(NOW).is_ok()), (is_taken, is_taken), "{mode:o}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    // Only root may give a file away.
    if chown(&path, Some(65_534), None).is_ok() {
        assert!(load(&path, &primary()).unwrap_err().contains("another user owns it"));
        assert!(file.append(&ids(0..1)).is_err());
        let (path, _) = written(&folder, &ids(0..2));
        assert_eq!(found(&path).1, ids(0..2), "a whole list replaces it");
    }
}

#[test]
fn a14_processes_that_take_over_from_one_another_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = written(&folder, &ids(0..10));
    let new = EndedFile::new(path.clone(), &primary());
    let mut whole = new.begin().unwrap().expect("nobody else writes one");
    assert!(old.begin().unwrap().is_none(), "one at a time");
    whole.add(&ids(0..10)).unwrap();
    old.append(&ids(10..11)).unwrap();
    whole.place(UnixSeconds(NOW.0 + 9), || ids(10..11)).unwrap();
    // The old process had the file open by its name only.
    old.append(&ids(11..12)).unwrap();
    assert_eq!(found(&path), (UnixSeconds(NOW.0 + 9), ids(0..12)));
    // One that is given up leaves the old file, and nothing beside it.
    let mut whole = old.begin().unwrap().expect("the other has ended");
    whole.add(&ids(0..5)).unwrap();
    drop(whole);
    assert_eq!(found(&path).1, ids(0..12));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // One that a kill left is written over.
    let mut left = File::create(folder.path().join("ended.new")).unwrap();
    left.write_all(&[7; 1000]).unwrap();
    drop(left);
    let (path, _) = written(&folder, &ids(0..4));
    assert_eq!(found(&path).1, ids(0..4));
}

#[test]
fn a14_many_appends_at_once_and_a_new_list_in_between_lose_no_id() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = written(&folder, &[]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let file = &file;
            scope.spawn(move || (0..25).for_each(|n| file.append(&ids(thread * 100 + n..thread * 100 + n + 1)).unwrap()));
        }
        for _ in 0..5 {
            let whole = file.begin().unwrap().unwrap();
            // Nothing is appended to the old file any more: all that it has goes along.
            whole.place(NOW, || found(&path).1).unwrap();
        }
    });
    let all = found(&path).1;
    for number in (0..4).flat_map(|thread| (0..25).map(move |n| thread * 100 + n)) {
        assert!(all.contains(&id(number)), "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Rule A14: a list that lacks an ID would hand that ID out.
    #[test]
    fn a14_a_file_that_was_cut_short_never_passes_for_the_whole_list(
        confirmed in 0_u64..40, later in 0_u64..10, at in 0_u64..1000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = written(&folder, &ids(0..confirmed));
        file.append(&ids(confirmed..confirmed + later)).unwrap();
        let length = at % (fs::metadata(&path).unwrap().len() + 1);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let is_enough = length >= HEADER + confirmed * ENTRY;
        match load(&path, &primary()) {
            Ok(Some((NOW, all))) => {
                prop_assert!(is_enough);
                prop_assert_eq!(all, ids(0..(length - HEADER) / ENTRY));
            }
            other => prop_assert!(!is_enough && other.is_err(), "{:?}", other),
        }
    }

    #[test]
    fn a14_a_changed_bit_in_the_header_or_the_list_is_noticed(count in 1_u64..40, at in 0_u64..10_000, bit in 0_u8..8) {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(&folder, &ids(0..count));
        let at = at % fs::metadata(&path).unwrap().len();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
        prop_assert!(load(&path, &primary()).is_err());
    }

    #[test]
    fn a14_bytes_of_any_kind_are_refused_or_read_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = written(&folder, &ids(0..3));
        let good = fs::read(&path).unwrap();
        for content in [bytes.clone(), [&good[..8], &bytes].concat(), [&good[..], &bytes].concat()] {
            fs::write(&path, &content).unwrap();
            let _ = load(&path, &primary());
            let _ = (file.append(&ids(0..2)), file.confirm(NOW));
        }
    }
}
