//! The registry of open connections, and which of them end (rule A9).
//!
//! 1. A connection without a request in service ends after half a minute, whatever its client sends.
//! 2. A client must read its answer, slowly if need be. An answer for which the application has nothing yet may take any time.
//! 3. There is a limit for all, and one for each client. At a limit, the connection that is needed least ends, and the new one is
//!    served. Only when all are in use is the new one closed.
//!
//! Opening and closing a connection takes the lock for a moment; requests never do. At the limit for all, one scan finds many
//! connections that may end, so that a flood of new ones does not cause a scan each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::rt::time::sleep;

use crate::base::clock::Clock;
use crate::store::rate_limit::household;

use super::connection::Connection;
use super::descriptors::connections_max;
use super::ended::Ended;

/// How often each connection is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// One client may have a quarter of all connections, and no more than this: more than the busiest office behind one address needs.
const CLIENT_MAX: usize = 1024;

/// The limit of a client is never lower: a browser opens several connections at once.
const CLIENT_MIN: usize = 8;

/// All open connections of a server.
pub struct Connections {
    clock: Arc<dyn Clock>,
    total_max: usize,
    client_max: usize,
    table: Mutex<Table>,
    ended: [AtomicU64; Ended::ALL.len()],
}

#[derive(Default)]
struct Table {
    all: Vec<Arc<Connection>>,
    by_client: HashMap<[u8; 8], Vec<Arc<Connection>>>,
    /// Those that may end to make room, the best choice last. Filled by a scan, and looked at again before use.
    room: Vec<Arc<Connection>>,
    /// When a scan last found none.
    full_at: Option<Duration>,
}

impl Connections {
    /// Holds `total_max` connections at most.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, total_max: usize) -> Self {
        let client_max = (total_max / 4).clamp(CLIENT_MIN, CLIENT_MAX).min(total_max);
        Self { clock, total_max, client_max, table: Mutex::default(), ended: Default::default() }
    }

    /// As many as the limit of open files allows, which this raises as far as the system lets it.
    #[must_use]
    pub fn within_open_files(clock: Arc<dyn Clock>) -> Self {
        Self::new(clock, connections_max())
    }

    /// How many may be accepted, with those that come and go just now. Without a limit, a flood would take all open files before
    /// the workers have seen it, and the listener would pause for half a second each time.
    #[must_use]
    pub(super) const fn accepted_max(&self) -> usize {
        self.total_max + self.total_max / 4
    }

    /// How many are open.
    #[must_use]
    pub fn open_now(&self) -> u64 {
        self.lock().all.len() as u64
    }

    /// How many were ended, for each reason.
    pub fn ended(&self) -> impl Iterator<Item = (Ended, u64)> {
        Ended::ALL.into_iter().zip(&self.ended).map(|(why, count)| (why, count.load(Ordering::Relaxed)))
    }

    /// Counts one that ended.
    pub(super) fn count(&self, why: Ended) {
        if let Some(count) = self.ended.get(why as usize - 1) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes in a new connection, and ends another one where that is needed. `client` is its address, `None` for one that has no
    /// limit of its own. `None` when every connection is in use.
    pub(super) fn open(self: &Arc<Self>, client: Option<IpAddr>) -> Option<Open> {
        let client = client.map(household);
        let connection = Arc::new(Connection::new(Arc::clone(&self.clock), client));
        let mut table = self.lock();
        let has_room = self.make_room_of_client(&mut table, client) && self.make_room(&mut table);
        if !has_room {
            drop(table);
            self.count(Ended::Refused);
            return None;
        }
        connection.place.store(table.all.len(), Ordering::Relaxed);
        table.all.push(Arc::clone(&connection));
        if let Some(client) = client {
            table.by_client.entry(client).or_default().push(Arc::clone(&connection));
        }
        drop(table);
        Some(Open { connections: Arc::clone(self), connection })
    }

    /// Ends the connections that are over a time limit.
    pub(super) fn look(&self) {
        let now = self.clock.uptime();
        let over: Vec<_> = {
            let table = self.lock();
            table.all.iter().filter_map(|connection| Some((Arc::clone(connection), connection.look(now)?))).collect()
        };
        for (connection, why) in over {
            self.end(&mut self.lock(), &connection, why);
        }
    }

    fn make_room_of_client(&self, table: &mut Table, client: Option<[u8; 8]>) -> bool {
        let Some(of_client) = client.and_then(|client| table.by_client.get(&client)) else { return true };
        if of_client.len() < self.client_max {
            return true;
        }
        let choice = of_client.iter().filter_map(|connection| Some((connection.dispensable()?, connection)));
        let Some((_, choice)) = choice.max_by_key(|(rank, _)| *rank) else { return false };
        let choice = Arc::clone(choice);
        self.end(table, &choice, Ended::ClientLimit);
        true
    }

    fn make_room(&self, table: &mut Table) -> bool {
        if table.all.len() < self.total_max {
            return true;
        }
        let now = self.clock.uptime();
        // A second scan at the same moment would find none either.
        let scans = if table.full_at.is_some_and(|at| now < at + Duration::from_millis(20)) { 0 } else { 1 };
        for scan in 0..=scans {
            while let Some(choice) = table.room.pop() {
                if choice.dispensable().is_some() && table.holds(&choice) {
                    self.end(table, &choice, Ended::TotalLimit);
                    return true;
                }
            }
            if scan < scans {
                // Of equals the older one is the better choice, and most often comes first here.
                let ranked =
                    table.all.iter().rev().filter_map(|connection| Some((connection.dispensable()?, Arc::clone(connection))));
                let mut ranked: Vec<_> = ranked.collect();
                ranked.sort_by_key(|(rank, _)| *rank);
                // Later on, others may be a better choice than the second half.
                let worse = ranked.len() / 2;
                table.room = ranked.into_iter().skip(worse).map(|(_, connection)| connection).collect();
            }
        }
        table.full_at = Some(now);
        false
    }

    fn end(&self, table: &mut Table, connection: &Arc<Connection>, why: Ended) {
        if table.remove(connection) {
            connection.end(why);
            self.count(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at each connection again and again. It never ends itself.
pub(super) async fn keep_looking(connections: Arc<Connections>) {
    loop {
        sleep(LOOK_INTERVAL).await;
        connections.look();
    }
}

impl Table {
    fn holds(&self, connection: &Arc<Connection>) -> bool {
        let place = connection.place.load(Ordering::Relaxed);
        self.all.get(place).is_some_and(|there| Arc::ptr_eq(there, connection))
    }

    /// Takes it out; whether it was there.
    fn remove(&mut self, connection: &Arc<Connection>) -> bool {
        if !self.holds(connection) {
            return false;
        }
        let place = connection.place.load(Ordering::Relaxed);
        self.all.swap_remove(place);
        if let Some(moved) = self.all.get(place) {
            moved.place.store(place, Ordering::Relaxed);
        }
        if let Some(client) = connection.client
            && let Some(of_client) = self.by_client.get_mut(&client)
        {
            of_client.retain(|other| !Arc::ptr_eq(other, connection));
            if of_client.is_empty() {
                self.by_client.remove(&client);
            }
        }
        true
    }
}

/// A connection in the registry, until this drops.
pub(super) struct Open {
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Open {
    /// Counts it as one whose client sent something unreadable.
    pub(super) fn was_unreadable(&self) {
        self.connections.count(Ended::Unreadable);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.connection);
        self.connection.is_served_by(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{ManualClock, UnixSeconds};

    fn connections(total_max: usize) -> (Arc<ManualClock>, Arc<Connections>) {
        let clock = Arc::new(ManualClock::at(UnixSeconds(1_790_000_000)));
        let connections = Connections::new(Arc::<ManualClock>::clone(&clock), total_max);
        (clock, Arc::new(connections))
    }

    fn client(number: u8) -> Option<IpAddr> {
        Some([192, 0, 2, number].into())
    }

    fn ended(connections: &Connections, why: Ended) -> u64 {
        connections.ended().find(|(other, _)| *other == why).unwrap().1
    }

    #[test]
    fn a9_the_longest_silent_makes_room() {
        let (clock, connections) = connections(100);
        let mut silent = Vec::new();
        for number in 0..100 {
            clock.advance(Duration::from_secs(1));
            silent.push(connections.open(client(number)).unwrap());
        }
        // The first one is at work, the second was just heard of.
        let _request = silent[0].connection.begin();
        clock.advance(Duration::from_secs(1));
        silent[1].connection.has_received();
        let new = connections.open(client(200)).unwrap();
        let table = connections.lock();
        let gone: Vec<_> = (0..100).filter(|&number| !table.holds(&silent[number].connection)).collect();
        assert_eq!(gone, [2]);
        assert!(table.holds(&new.connection) && table.all.len() == 100);
        drop(table);
        assert_eq!(ended(&connections, Ended::TotalLimit), 1);
    }

    #[test]
    fn a9_a_client_at_its_limit_takes_from_itself() {
        let (_, connections) = connections(100);
        let other = connections.open(client(1)).unwrap();
        let of_one: Vec<_> = (0..60).map(|_| connections.open(client(2)).unwrap()).collect();
        assert_eq!((connections.open_now(), ended(&connections, Ended::ClientLimit)), (26, 35));
        assert!(connections.lock().holds(&other.connection));
        let requests: Vec<_> = of_one.iter().map(|open| open.connection.begin()).collect();
        assert!(connections.open(client(2)).is_none(), "all of that client are in use");
        assert!(connections.open(client(3)).is_some());
        let proxied: Vec<_> = (0..60).map(|_| connections.open(None).unwrap()).collect();
        assert_eq!((proxied.len(), ended(&connections, Ended::Refused)), (60, 1));
        drop(requests);
    }

    #[test]
    fn a9_only_when_all_are_in_use_is_a_new_one_closed() {
        let (clock, connections) = connections(16);
        let open: Vec<_> = (0..16).map(|_| connections.open(None).unwrap()).collect();
        let mut requests: Vec<_> = open.iter().map(|open| open.connection.begin()).collect();
        assert!(connections.open(client(1)).is_none());
        requests.pop();
        clock.advance(Duration::from_secs(1));
        assert!(connections.open(client(1)).is_some());
        drop((requests, open));
        assert_eq!(connections.open_now(), 0);
        assert!(connections.lock().by_client.is_empty());
    }

    #[test]
    fn a9_a_flood_of_new_connections_is_let_in_and_out() {
        let (_, connections) = connections(64);
        let open: Vec<_> = (0..10_000_u32).map(|number| connections.open(Some(number.to_be_bytes().into())).unwrap()).collect();
        assert_eq!((connections.open_now(), ended(&connections, Ended::TotalLimit)), (64, 9936));
        assert!(connections.lock().holds(&open[9999].connection));
        drop(open);
        let table = connections.lock();
        assert!(table.all.is_empty() && table.by_client.is_empty());
    }

    #[test]
    fn a9_silent_connections_end() {
        let (clock, connections) = connections(64);
        let open: Vec<_> = (0..10).map(|number| connections.open(client(number)).unwrap()).collect();
        let _request = open[3].connection.begin();
        clock.advance(Duration::from_secs(31));
        connections.look();
        assert_eq!((connections.open_now(), ended(&connections, Ended::Idle)), (1, 9));
    }
}
