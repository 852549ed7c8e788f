//! The list of ended IDs on disk: a node that starts while the list is out of reach has the last one that it knew (rule A14).
//!
//! 1. A header of [`HEADER`] bytes, then 16 bytes for each ID. A node appends the IDs that it learns.
//! 2. A whole list is written beside the file and renamed. There is no file before the first whole list, so that a file always
//!    stands for a list that was complete once.
//! 3. The header says when the list was last known to be complete, and how many IDs it held then, with a sum over them. A file
//!    that lacks some of those IDs is damaged. An entry that was cut off at the end is dropped.
//! 4. Processes that take over from one another share the file, so each change is made under its lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::token::keyfile::FileMistake;

const MAGIC: [u8; 8] = *b"tl-ended";
const VERSION: u64 = 1;

/// The header's length in bytes.
pub const HEADER: u64 = 80;
/// An entry's length in bytes.
pub const ENTRY: u64 = 16;

/// The longest file that is read, in bytes: 134 million IDs.
const LENGTH_MAX: u64 = 1 << 31;

/// How many bytes are read or written at once.
const BUFFER: usize = 64 * 1024;

/// The file of one primary's ended IDs.
#[derive(Debug)]
pub struct EndedFile {
    path: PathBuf,
    /// SHA-256 of the primary's origin.
    primary: [u8; 32],
}

/// What the header says of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// When the list was last known to be complete, in Unix seconds.
    complete_at: u64,
    /// How many IDs it held then.
    count: u64,
    /// [`mixed`] of those, added up.
    sum: u64,
}

impl Header {
    fn bytes(&self, primary: &[u8; 32]) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        for (place, number) in bytes[8..40].chunks_exact_mut(8).zip([VERSION, self.complete_at, self.count, self.sum]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes[40..72].copy_from_slice(primary);
        let check = check(&bytes[..72]);
        bytes[72..].copy_from_slice(&check);
        bytes
    }

    fn read(bytes: &[u8; HEADER as usize], primary: &[u8; 32]) -> Result<Self, &'static str> {
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        if bytes[..8] != MAGIC {
            return Err("is no list of ended IDs");
        }
        if number(8) != VERSION {
            return Err("was written by another version");
        }
        if bytes[72..] != check(&bytes[..72]) {
            return Err("is damaged");
        }
        if bytes[40..72] != *primary {
            return Err("belongs to another primary");
        }
        Ok(Self { complete_at: number(16), count: number(24), sum: number(32) })
    }
}

/// The first 8 bytes of the SHA-256.
fn check(bytes: &[u8]) -> [u8; 8] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref()[..8].try_into().unwrap_or_default()
}

/// 64 bits that every bit of an ID changes.
fn mixed(entry: [u8; ENTRY as usize]) -> u64 {
    let both = u128::from_be_bytes(entry);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are wanted")]
    let (high, low) = ((both >> 64) as u64, both as u64);
    high ^ low.rotate_left(29)
}

impl EndedFile {
    /// The list of `primary`'s ended IDs, in the file at `path`.
    #[must_use]
    pub fn new(path: PathBuf, primary: &Origin) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, primary.as_str().as_bytes());
        Self { path, primary: digest.as_ref().try_into().unwrap_or_default() }
    }

    /// Gives each ID of the list to `each`. Says when the list was last known to be complete; `None` when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, is another primary's, or another user may write it. `each` has not been called.
    pub fn load(&self, mut each: impl FnMut(VisitorId)) -> Result<Option<UnixSeconds>, FileMistake> {
        let mistake = |what: String| FileMistake::new(&self.path, what);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(mistake(format!("cannot be used ({error})"))),
        };
        let unusable = |error: io::Error| mistake(format!("cannot be used ({error})"));
        trusted(&file).map_err(unusable)?;
        let header = self.header(&file).map_err(unusable)?;
        let (mut count, mut sum) = (0, 0_u64);
        // The whole file is checked before the first ID is given out. It is read twice, and the second time from memory.
        ids(&mut file, |id| {
            if count < header.count {
                sum = sum.wrapping_add(mixed(*id.as_bytes()));
            }
            count += 1;
        })
        .map_err(unusable)?;
        if count < header.count || sum != header.sum {
            return Err(mistake("is damaged".into()));
        }
        ids(&mut file, &mut each).map_err(unusable)?;
        Ok(Some(UnixSeconds(header.complete_at)))
    }

    /// Adds IDs. They are on the medium when this returns.
    ///
    /// # Errors
    /// When there is no file, or it cannot be written, or it is not this primary's.
    pub fn append(&self, ids: &[VisitorId]) -> io::Result<()> {
        let file = self.locked()?;
        self.header(&file)?;
        let end = HEADER + whole_entries(&file)? * ENTRY;
        file.set_len(end)?;
        let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
        file.write_all_at(&bytes, end)?;
        file.sync_data()
    }

    /// Notes that the list is complete as of `now`.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn confirm(&self, now: UnixSeconds) -> io::Result<()> {
        let mut file = self.locked()?;
        let Header { count, sum, .. } = self.header(&file)?;
        let mut header = Header { complete_at: now.0, count, sum };
        file.seek(SeekFrom::Start(HEADER + count * ENTRY))?;
        read_ids(&mut file, |id| {
            header.count += 1;
            header.sum = header.sum.wrapping_add(mixed(*id.as_bytes()));
        })?;
        file.write_all_at(&header.bytes(&self.primary), 0)?;
        file.sync_data()
    }

    /// Begins to write a whole list. `None` while another process does.
    ///
    /// # Errors
    /// When the file beside this one cannot be written.
    pub fn begin(&self) -> io::Result<Option<WholeList>> {
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&beside)?;
        // Between opening and locking, another process may have renamed its finished list: that one must not be emptied.
        if file.try_lock().is_err() || !is_at(&file, &beside) {
            return Ok(None);
        }
        trusted(&file)?;
        file.set_len(0)?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let header = Header { complete_at: 0, count: 0, sum: 0 };
        out.write_all(&[0; HEADER as usize])?;
        Ok(Some(WholeList { out, header, beside, path: self.path.clone(), primary: self.primary, is_placed: false }))
    }

    fn header(&self, file: &File) -> io::Result<Header> {
        let mut bytes = [0; HEADER as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("it is cut off"),
            _ => error,
        })?;
        Header::read(&bytes, &self.primary).map_err(|what| io::Error::other(format!("it {what}")))
    }

    /// The file, locked. Not one that another process has replaced meanwhile.
    fn locked(&self) -> io::Result<File> {
        loop {
            let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            file.lock()?;
            if is_at(&file, &self.path) {
                trusted(&file)?;
                return Ok(file);
            }
        }
    }
}

/// A whole list that is being written beside the old one. Dropped before it is [placed](Self::place), it is gone.
#[derive(Debug)]
pub struct WholeList {
    out: BufWriter<File>,
    header: Header,
    beside: PathBuf,
    path: PathBuf,
    primary: [u8; 32],
    is_placed: bool,
}

impl WholeList {
    /// Adds IDs.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add(&mut self, ids: &[VisitorId]) -> io::Result<()> {
        for id in ids {
            self.out.write_all(id.as_bytes())?;
            self.header.count += 1;
            self.header.sum = self.header.sum.wrapping_add(mixed(*id.as_bytes()));
        }
        Ok(())
    }

    /// Puts the list in the file's place: it is complete as of `now`. `late` names the IDs that were appended to the old file
    /// meanwhile; nothing is appended there any more once it is asked.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then unchanged.
    pub fn place(mut self, now: UnixSeconds, late: impl FnOnce() -> Vec<VisitorId>) -> io::Result<()> {
        let old = OpenOptions::new().read(true).write(true).open(&self.path);
        if let Ok(old) = &old {
            old.lock()?;
        }
        self.add(&late())?;
        self.out.flush()?;
        self.header.complete_at = now.0;
        let file = self.out.get_ref();
        file.write_all_at(&self.header.bytes(&self.primary), 0)?;
        file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        self.is_placed = true;
        // The name must be on the medium too, or a crash brings the old file back.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for WholeList {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Whether `path` still names this file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(one), Ok(other)) if identity(one.clone()) == identity(other.clone()))
}

/// Whoever may write the file may bring an ended ID back.
fn trusted(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LENGTH_MAX {
        return Err(io::Error::other("it is no file, or far too long"));
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("another user owns it; remove it, and this process writes it anew"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others than its owner may write it; run: chmod 600"));
    }
    Ok(())
}

fn whole_entries(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len().saturating_sub(HEADER) / ENTRY)
}

/// Reads all IDs.
fn ids(file: &mut File, each: impl FnMut(VisitorId)) -> io::Result<()> {
    file.seek(SeekFrom::Start(HEADER))?;
    read_ids(file, each)
}

/// Reads the IDs from the file's position on, without an entry that is cut off at the end.
fn read_ids(file: &mut File, mut each: impl FnMut(VisitorId)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut entry = [0; ENTRY as usize];
    loop {
        match reader.read_exact(&mut entry) {
            Ok(()) => each(VisitorId::from_bytes(&entry).ok_or_else(|| io::Error::other("it holds something that is no ID"))?),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
