//! How many connections the limit of open files allows (rule A9).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For key files, stores, logs, listeners, the threads' own, and requests to other nodes.
const RESERVE: u64 = 128;

/// The most connections, whatever the system allows: each takes some ten KiB.
const CONNECTIONS_MAX: u64 = 65_536;

/// The limit is never lower, or the process could not serve at all.
const CONNECTIONS_MIN: u64 = 16;

/// Raises the soft limit of open files, as far as the hard one and [`CONNECTIONS_MAX`] allow, and says how many connections may
/// be open then. Raising is safe here: nothing in this program uses `select`, whose sets end at 1,024.
#[must_use]
pub(super) fn connections_max() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS_MAX * 5 / 2 + RESERVE;
    let target = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = current.is_some_and(|current| current < target)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }).is_ok();
    connections_with(if raised { Some(target) } else { current })
}

/// The listener accepts a quarter more than this, for connections that open or close at the moment. Each may also have a file open,
/// the static page that it sends: without a free descriptor, `actix-files` answers 404 for a page that exists.
fn connections_with(files: Option<u64>) -> usize {
    let connections = files.map_or(CONNECTIONS_MAX, |files| files.saturating_sub(RESERVE) * 2 / 5);
    usize::try_from(connections.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a9_connections_leave_room_for_other_files() {
        for (files, connections) in
            [(Some(0), 16), (Some(256), 51), (Some(1024), 358), (Some(65_536), 26_163), (Some(1_048_576), 65_536), (None, 65_536)]
        {
            assert_eq!(connections_with(files), connections, "{files:?}");
        }
    }
}
