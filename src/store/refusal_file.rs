//! Refusals that the broker has not heard of, on disk: a visitor's no must outlive a restart of the satellite (rule C1).
//!
//! A line of JSON each. Processes that take over from one another share the file, so each change is made under its lock, and a
//! process takes out only what it has delivered itself. To deliver one twice does no harm.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::json::{self, json_object};
use crate::base::origin::Origin;
use crate::domain::reports::Report;

/// The file. Nothing is made before there is something to keep.
#[derive(Debug)]
pub struct RefusalFile(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self")]
struct Line {
    site: String,
    report: Report,
}

json_object!(written Line);

impl RefusalFile {
    /// Keeps refusals in `file`, readable for its owner alone.
    #[must_use]
    pub const fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// What is kept. A line that cannot be read was most likely cut off by the end of the process that wrote it, which had then
    /// not said that it was kept. The log tells how many there are.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<Vec<(Origin, Report)>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => {
                let written = text.lines().filter(|line| !line.is_empty()).count();
                let kept: Vec<_> = lines(&text).filter_map(|line| Some((Origin::parse(&line.site).ok()?, line.report))).collect();
                if kept.len() < written {
                    let (file, lines) = (self.0.display(), written - kept.len());
                    tracing::warn!(%file, lines, "refusals_file has lines that cannot be read; they are ignored");
                }
                Ok(kept)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Keeps one more. It is on the medium when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&self, site: &Origin, report: &Report) -> io::Result<()> {
        let mut file = self.locked(true)?;
        let mut text = serde_json::to_string(&Line { site: site.to_string(), report: report.clone() })?;
        // Its own line, whatever was cut off before it.
        text.insert(0, '\n');
        text.push('\n');
        file.seek(io::SeekFrom::End(0))?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }

    /// The broker has these.
    ///
    /// # Errors
    /// When the file cannot be written. They are then delivered again after the next start.
    pub fn remove(&self, reports: &[Report]) -> io::Result<()> {
        let mut file = self.locked(false)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let kept: Vec<_> = lines(&text).filter(|line| !reports.contains(&line.report)).collect();
        let mut text = String::new();
        for line in &kept {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }

    fn locked(&self, create: bool) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(&self.0)?;
        file.lock()?;
        Ok(file)
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines().filter_map(|line| json::read(line.as_bytes()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixSeconds;
    use crate::base::id::VisitorId;
    use crate::base::random::CountingRandom;

    #[test]
    fn c1_refusals_are_kept_until_they_are_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refusals");
        let file = RefusalFile::new(path.clone());
        assert_eq!(file.read().unwrap(), []);
        let random = CountingRandom::default();
        let refusal = || Report::Refusal { visitor: VisitorId::mint(&random).unwrap(), at: UnixSeconds(1_790_000_000) };
        let site = Origin::parse("https://shop.example").unwrap();
        let (one, two, three) = (refusal(), refusal(), refusal());
        file.add(&site, &one).unwrap();
        // What a process left half written costs neither what was there nor what comes.
        let mut cut_off = OpenOptions::new().append(true).open(&path).unwrap();
        cut_off.write_all(b"{\"site\":\"https://shop.ex").unwrap();
        for refusal in [&two, &three] {
            RefusalFile::new(path.clone()).add(&site, refusal).unwrap();
        }
        assert_eq!(file.read().unwrap(), [&one, &two, &three].map(|report| (site.clone(), report.clone())));
        file.remove(&[one, three]).unwrap();
        assert_eq!(file.read().unwrap(), [(site, two.clone())]);
        file.remove(&[two]).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (0, 0o600));
    }
}
