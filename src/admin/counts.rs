//! Events counted by their codes, without a lock and without a list of all codes: a chain that grows by one link for each
//! code that comes up. Codes are words of this program, so a chain stays short.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often each code came up.
#[derive(Debug, Default)]
pub struct Counts {
    first: OnceLock<Box<Link>>,
}

#[derive(Debug)]
struct Link {
    code: &'static str,
    count: AtomicU64,
    next: OnceLock<Box<Link>>,
}

impl Counts {
    /// Counts one more of `code`.
    pub fn count(&self, code: &'static str) {
        let mut place = &self.first;
        loop {
            // Of many who add a link at once, one does, and the others find it there.
            let link = place.get_or_init(|| Box::new(Link { code, count: AtomicU64::new(0), next: OnceLock::new() }));
            if link.code == code {
                link.count.fetch_add(1, Ordering::Relaxed);
                return;
            }
            place = &link.next;
        }
    }

    /// Each code that came up so far, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let links = std::iter::successors(self.first.get(), |link| link.next.get());
        links.map(|link| (link.code, link.count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_count_many_codes_and_lose_none() {
        const CODES: [&str; 5] = ["bounce", "link", "alias", "expired", "replayed"];
        let counts = Counts::default();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let counts = &counts;
                scope.spawn(move || (0..5000).for_each(|number| counts.count(CODES[(number + thread) % CODES.len()])));
            }
        });
        let mut found: Vec<_> = counts.iter().collect();
        found.sort_unstable();
        let mut expected = CODES.map(|code| (code, 8000));
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
