//! A10, A13: two broker nodes on one store, and a satellite. The store freezes, nodes lose it and are killed, at random; an oracle
//! knows what each client was told. The clock is simulated, so that a minute of wall time holds hours of theirs.
//!
//! It runs for 5 s, or for `THROUGHLINE_MODEL_SECONDS`. A failure names the seed; `THROUGHLINE_MODEL_SEED` runs that one alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use throughline::base::clock::{Clock, SystemClock, UnixSeconds};
use throughline::base::id::VisitorId;
use throughline::base::origin::Origin;
use throughline::base::random::{NoRandomness, Random, SystemRandom, random_bytes};
use throughline::domain::consent::Basis;
use throughline::domain::properties::PropertyChange;
use throughline::domain::record::{AliasKind, Held, Outcome, Record, Write};
use throughline::domain::record_batch::{Loaded, plan, touched};
use throughline::domain::reports::{Report, Reported, Revocations};
use throughline::domain::siblings::Siblings;
use throughline::domain::url::PageUrl;
use throughline::satellite::Satellite;
use throughline::satellite::deliver::deliver;
use throughline::store::record_keeper::{Keeper, Noted, Sighting};
use throughline::store::record_writer::RecordWriter;
use throughline::store::records::{Records, Unavailable};
use throughline::store::replay::Replay;
use throughline::store::revoked_ids::RevokedIds;
use throughline::store::visitors::{Cursor, Sampled, SetAside, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout};

const NODES: usize = 2;
const STEPS: u64 = 1500;
const START: u64 = 1_790_000_000;

/// As in the product: a call to the store ends after this time, and a hop waits for its write.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
const HOP_WAIT: Duration = Duration::from_millis(10);

/// splitmix64
struct Dice(AtomicU64);

impl Dice {
    fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let bits = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        bytes.iter_mut().for_each(|byte| *byte = self.next().to_le_bytes()[0]);
        Ok(())
    }
}

/// The clock that tokio has paused.
struct Simulated(Instant);

impl Clock for Simulated {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(START + self.uptime().as_secs())
    }

    fn uptime(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What the store holds. It plans batches as the real ones do.
#[derive(Default)]
struct Memory {
    held: HashMap<VisitorId, Held>,
    revoked: Vec<VisitorId>,
}

impl Memory {
    fn of(&self, visitor: VisitorId) -> Held {
        self.held.get(&visitor).cloned().unwrap_or(Held::Nothing)
    }

    fn apply(&mut self, writes: &[Arc<Write>]) -> Vec<Outcome> {
        let (mut loaded, mut wanted) = (Loaded::new(), touched(writes));
        let plan = loop {
            loaded.extend(wanted.iter().map(|visitor| (*visitor, self.of(*visitor))));
            match plan(&loaded, writes) {
                Ok(plan) => break plan,
                Err(further) => wanted = further,
            }
        };
        for put in plan.put {
            self.held.insert(put.visitor, Held::read(&put.text));
        }
        for (visitor, _) in plan.revoke {
            self.held.insert(visitor, Held::Revoked);
            self.revoked.push(visitor);
        }
        plan.outcomes
    }
}

/// One node's way to the store.
struct Way {
    store: Arc<Mutex<Memory>>,
    /// Until when the store is frozen for this node.
    frozen: Arc<Mutex<Instant>>,
    dice: Arc<Dice>,
}

impl Way {
    fn store(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn is_there(&self) -> Result<(), StoreFault> {
        let until = *self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        sleep(self.dice.millis(1, 4)).await;
        timeout(CALL_TIME_MAX, sleep_until(until)).await.map_err(|_| StoreFault::Unavailable("no answer in time".into()))
    }
}

#[async_trait]
impl VisitorStore for Way {
    async fn prepare(&self) -> Result<(), StoreFault> {
        self.is_there().await
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        if let Err(fault) = self.is_there().await {
            // It may have been done all the same.
            if self.dice.one_in(3) {
                self.store().apply(&writes);
            }
            return Err(fault);
        }
        let outcomes = self.store().apply(&writes);
        sleep(self.dice.millis(0, 3)).await;
        if self.dice.one_in(200) {
            return Err(StoreFault::Unavailable("the connection broke".into()));
        }
        Ok(outcomes)
    }

    async fn read(&self, visitor: VisitorId) -> Result<Held, StoreFault> {
        self.is_there().await?;
        Ok(self.store().of(visitor))
    }

    async fn revocations(&self, cursor: Cursor, limit: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault> {
        self.is_there().await?;
        let numbered = (1..).zip(self.store().revoked.clone());
        Ok(numbered.filter(|(number, _)| *number > cursor).take(limit).collect())
    }

    async fn sweep(&self, _: Option<VisitorId>, _: SweepBefore, _: usize) -> Result<Swept, StoreFault> {
        Ok(Swept { deleted: 0, next: None })
    }

    async fn sample(&self, _: Option<VisitorId>, _: usize) -> Result<Sampled, StoreFault> {
        Ok(Sampled { records: Vec::new(), next: None })
    }

    async fn examine(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn set_aside(&self, _: Vec<SetAside>) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn count_set_aside(&self) -> Result<u64, StoreFault> {
        Ok(0)
    }

    async fn size(&self) -> Result<StoreSize, StoreFault> {
        Ok(StoreSize { records: 0, octets: 0 })
    }
}

/// A broker's process.
struct Node {
    keeper: Arc<Keeper>,
    work: JoinHandle<()>,
}

/// The nodes, behind one name. A killed one is away until it is started again.
struct Fleet {
    store: Arc<Mutex<Memory>>,
    frozen: [Arc<Mutex<Instant>>; NODES],
    nodes: Mutex<[Option<Node>; NODES]>,
    dice: Arc<Dice>,
    clock: Arc<Simulated>,
    sites: [Origin; 3],
}

impl Fleet {
    fn new(dice: &Arc<Dice>) -> Arc<Self> {
        let site = |name: &str| Origin::parse(&format!("https://{name}.example")).expect("an origin");
        let fleet = Arc::new(Self {
            store: Arc::default(),
            frozen: std::array::from_fn(|_| Arc::new(Mutex::new(Instant::now()))),
            nodes: Mutex::default(),
            dice: Arc::clone(dice),
            clock: Arc::new(Simulated(Instant::now())),
            sites: ["www", "shop", "learn"].map(site),
        });
        (0..NODES).for_each(|node| fleet.start(node));
        fleet
    }

    fn start(&self, node: usize) {
        let way = Way { store: Arc::clone(&self.store), frozen: Arc::clone(&self.frozen[node]), dice: Arc::clone(&self.dice) };
        let (store, clock): (Arc<dyn VisitorStore>, Arc<dyn Clock>) = (Arc::new(way), Arc::<Simulated>::clone(&self.clock));
        let (writer, work) = RecordWriter::new(Arc::clone(&store), Arc::clone(&clock));
        let siblings = Arc::new(ArcSwap::from_pointee(Siblings::none(&self.sites[0])));
        let keeper = Keeper::new(store, writer, siblings, Arc::<RevokedIds>::default(), clock, self.sites.iter());
        let started = Node { keeper: Arc::new(keeper), work: spawn_local(work) };
        self.nodes.lock().expect("no panic")[node] = Some(started);
    }

    fn kill(&self, node: usize) -> bool {
        let killed = self.nodes.lock().expect("no panic")[node].take();
        if let Some(Node { work, .. }) = &killed {
            work.abort();
        }
        killed.is_some()
    }

    fn freeze(&self, nodes: impl Iterator<Item = usize>, span: Duration) {
        for node in nodes {
            *self.frozen[node].lock().expect("no panic") = Instant::now() + span;
        }
    }

    fn some_node(&self) -> Option<(usize, Arc<Keeper>)> {
        let first = self.dice.below(NODES as u64) as usize;
        let nodes = self.nodes.lock().expect("no panic");
        let mut order = (first..NODES).chain(0..first);
        order.find_map(|node| nodes[node].as_ref().map(|found| (node, Arc::clone(&found.keeper))))
    }

    fn keeper(&self) -> Result<Arc<Keeper>, Unavailable> {
        self.some_node().map(|(_, keeper)| keeper).ok_or_else(|| Unavailable("no node".into()))
    }

    fn waiting(&self) -> u64 {
        let nodes = self.nodes.lock().expect("no panic");
        nodes.iter().flatten().map(|node| node.keeper.writer().state().waiting).sum()
    }
}

#[async_trait]
impl Records for Fleet {
    async fn read(&self, site: &Origin, visitor: VisitorId) -> Result<Option<Box<Record>>, Unavailable> {
        self.keeper()?.read(site, visitor).await
    }

    async fn change_properties(
        &self,
        site: &Origin,
        visitor: VisitorId,
        change: PropertyChange,
        expected: Option<u64>,
    ) -> Result<Outcome, Unavailable> {
        self.keeper()?.change_properties(site, visitor, change, expected).await
    }

    async fn report(&self, site: &Origin, reports: Vec<Report>) -> Result<Vec<Reported>, Unavailable> {
        self.keeper()?.report(site, reports).await
    }

    async fn revocations(&self, cursor: Cursor) -> Result<Revocations, Unavailable> {
        self.keeper()?.revocations(cursor).await
    }
}

/// A hop's write.
struct HopTold {
    site: usize,
    node: usize,
    /// It brought the first touch.
    is_first: bool,
    /// The client was told that it is written.
    is_written: bool,
    /// It was waiting in a node that was killed.
    may_be_lost: bool,
}

/// What the clients were told of one visitor.
#[derive(Default)]
struct Told {
    hops: Vec<HopTold>,
    aliases: Vec<(usize, VisitorId)>,
    properties: BTreeSet<String>,
    refused: bool,
}

impl Told {
    /// Whether the hops of a kind must have left something behind: one of them is acknowledged, or waited in a node that lives.
    fn is_certain(&self, is_meant: impl Fn(&HopTold) -> bool) -> bool {
        self.hops.iter().any(|hop| is_meant(hop) && !hop.may_be_lost)
    }
}

/// The model and what it is held against.
struct World {
    fleet: Arc<Fleet>,
    satellite: Arc<Satellite>,
    told: Arc<Mutex<BTreeMap<VisitorId, Told>>>,
}

impl World {
    fn told<T>(&self, change: impl FnOnce(&mut BTreeMap<VisitorId, Told>) -> T) -> T {
        change(&mut self.told.lock().expect("no panic"))
    }

    fn dice(&self) -> &Dice {
        &self.fleet.dice
    }

    fn somebody(&self) -> Option<VisitorId> {
        self.told(|told| {
            let count = told.len() as u64;
            // Mostly one of the last, whose writes may still be under way.
            let back = self.dice().below(if self.dice().one_in(3) { count.max(1) } else { count.clamp(1, 10) });
            told.keys().nth((count.saturating_sub(1 + back)) as usize).copied()
        })
    }

    /// A hop, for a new visitor or a known one. `held` becomes an alias of a browser that had a provisional ID.
    async fn hop(&self, known: Option<VisitorId>) {
        let Some((node, keeper)) = self.fleet.some_node() else { return };
        let site = 1 + self.dice().below(2) as usize;
        let visitor = known.unwrap_or_else(|| VisitorId::mint(self.dice()).expect("an ID"));
        let page = PageUrl::on(&self.fleet.sites[site], &format!("/{visitor}")).expect("a page");
        let noted = keeper.note(&Sighting {
            visitor,
            created: self.fleet.clock.now(),
            site: &self.fleet.sites[site],
            basis: Basis::Implied,
            first: known.is_none().then_some((&page, None)),
        });
        if let Noted::Waiting(receipt) = noted {
            let is_first = known.is_none();
            let hop = HopTold { site, node, is_first, is_written: false, may_be_lost: false };
            let place = self.told(|told| {
                let hops = &mut told.entry(visitor).or_default().hops;
                hops.push(hop);
                hops.len() - 1
            });
            if timeout(HOP_WAIT, receipt).await.is_ok_and(|answer| answer.is_ok_and(|outcome| outcome.is_ok())) {
                self.told(|told| told.entry(visitor).or_default().hops[place].is_written = true);
            }
        }
        if self.dice().one_in(3) {
            let other = VisitorId::mint(self.dice()).expect("an ID");
            let at = self.fleet.clock.now();
            self.satellite.outbox.put(&self.fleet.sites[site], Report::Alias { visitor, other, at, provisional: true });
            self.told(|told| told.entry(visitor).or_default().aliases.push((site, other)));
        }
    }

    fn refuse(&self, visitor: VisitorId) {
        let report = Report::Refusal { visitor, at: self.fleet.clock.now() };
        self.satellite.outbox.put(&self.fleet.sites[1], report);
        self.told(|told| told.entry(visitor).or_default().refused = true);
    }

    async fn set(&self, visitor: VisitorId) {
        let key = format!("k{}", self.dice().below(20));
        let change = PropertyChange::parse(format!(r#"{{"set":{{"{key}":1}}}}"#).as_bytes()).expect("a change");
        let site = 1 + self.dice().below(2) as usize;
        let changed = self.fleet.change_properties(&self.fleet.sites[site], visitor, change, None).await;
        if matches!(changed, Ok(Outcome::Properties(_))) {
            self.told(|told| told.entry(visitor).or_default().properties.insert(key));
        }
    }

    fn kill(&self, node: usize) {
        if self.fleet.kill(node) {
            self.told(|told| {
                let hops = told.values_mut().flat_map(|told| &mut told.hops);
                hops.filter(|hop| hop.node == node && !hop.is_written).for_each(|hop| hop.may_be_lost = true);
            });
        }
    }

    fn step(self: &Arc<Self>) {
        let world = Arc::clone(self);
        let dice = self.dice();
        match dice.below(1000) {
            0..=499 => drop(spawn_local(async move { world.hop(None).await })),
            500..=699 => drop(spawn_local(async move { world.hop(world.somebody()).await })),
            700..=799 => drop(self.somebody().map(|visitor| self.refuse(visitor))),
            800..=979 => drop(spawn_local(async move {
                if let Some(visitor) = world.somebody() {
                    world.set(visitor).await;
                }
            })),
            980..=986 => self.fleet.freeze(0..NODES, dice.millis(100, 35_000)),
            987..=993 => {
                let node = dice.below(NODES as u64) as usize;
                self.fleet.freeze(node..=node, dice.millis(100, 60_000));
            }
            _ => {
                let node = dice.below(NODES as u64) as usize;
                self.kill(node);
                let away = dice.millis(10, 5_000);
                drop(spawn_local(async move {
                    sleep(away).await;
                    let is_away = world.fleet.nodes.lock().expect("no panic")[node].is_none();
                    if is_away {
                        world.fleet.start(node);
                    }
                }));
            }
        }
    }

    /// Everything is well again: what was told holds.
    fn assert_told(&self, when: &str) {
        let store = self.fleet.store.lock().expect("no panic");
        let told = self.told.lock().expect("no panic");
        for (visitor, told) in &*told {
            let held = store.of(*visitor);
            if told.refused {
                assert_eq!(held, Held::Revoked, "{when}: a refusal is lost");
                continue;
            }
            let Held::Record(record) = held else {
                assert!(held == Held::Nothing && !told.is_certain(|_| true), "{when}: a record is lost");
                continue;
            };
            if told.is_certain(|hop| hop.is_first) {
                let landing = record.first_touch.as_ref().map(|touch| touch.landing.as_str());
                let is_own = landing.is_some_and(|landing| landing.ends_with(&visitor.to_string()));
                assert!(is_own, "{when}: a first touch is lost: {landing:?}");
            }
            for (site, origin) in self.fleet.sites.iter().enumerate() {
                let is_there = record.sites.contains_key(origin.as_str());
                assert!(is_there || !told.is_certain(|hop| hop.site == site), "{when}: a sighting is lost");
            }
            for (site, other) in &told.aliases {
                let note = record.aliases.get(other);
                let is_there = note.is_some_and(|note| note.kind == Some(AliasKind::Provisional));
                assert!(is_there || !told.is_certain(|hop| hop.site == *site), "{when}: an alias is lost");
            }
            for key in &told.properties {
                assert!(record.properties.iter().any(|(found, _)| found == key), "{when}: a property is lost");
            }
        }
        // The provisional IDs of those that refused have ended with them, whichever report came first.
        for (visitor, told) in told.iter().filter(|(_, told)| told.refused) {
            for (_, other) in &told.aliases {
                assert_eq!(store.of(*other), Held::Revoked, "{when}: a provisional ID of {visitor} lives on");
            }
        }
        assert_eq!(self.satellite.outbox.lost(), 0, "{when}: reports were given up");
    }
}

/// One run. Returns how many operations there were.
async fn run(seed: u64) -> u64 {
    let when = format!("seed {seed}");
    let dice = Arc::new(Dice(AtomicU64::new(seed)));
    let fleet = Fleet::new(&dice);
    let siblings = Arc::new(ArcSwap::from_pointee(Siblings::none(&fleet.sites[0])));
    let records: Arc<dyn Records> = Arc::<Fleet>::clone(&fleet);
    let satellite = Arc::new(Satellite::new(fleet.sites[0].clone(), Replay::here(1), siblings, records, None, None));
    satellite.breaker.record(true);
    let delivering = spawn_local(deliver(Arc::clone(&satellite)));
    let world = Arc::new(World { fleet, satellite, told: Arc::default() });
    for _ in 0..STEPS {
        world.step();
        sleep(dice.millis(0, 22)).await;
    }
    for node in 0..NODES {
        world.fleet.freeze(node..=node, Duration::ZERO);
        let is_away = world.fleet.nodes.lock().expect("no panic")[node].is_none();
        if is_away {
            world.fleet.start(node);
        }
    }
    // The longest pause of a report, twice, and room.
    sleep(Duration::from_secs(150)).await;
    assert_eq!((world.fleet.waiting(), world.satellite.outbox.len()), (0, 0), "{when}: something waits for ever");
    world.assert_told(&when);
    delivering.abort();
    for node in 0..NODES {
        world.fleet.kill(node);
    }
    STEPS
}

fn seconds(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: not a number")))
}

#[test]
fn a10_a13_two_nodes_lose_nothing_that_a_client_was_told() {
    let runtime = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        LocalSet::new().block_on(&runtime.expect("a runtime"), run(seed))
    };
    if let Some(seed) = seconds("THROUGHLINE_MODEL_SEED") {
        runtime(seed);
        return;
    }
    let (clock, first) = (SystemClock::new(), u64::from_le_bytes(random_bytes(&SystemRandom::new()).expect("randomness")));
    let span = Duration::from_secs(seconds("THROUGHLINE_MODEL_SECONDS").unwrap_or(5));
    let (mut operations, mut seed) = (0, first);
    while clock.uptime() < span {
        operations += runtime(seed);
        seed = seed.wrapping_add(1);
    }
    println!("A13: {} runs, {operations} operations, in {:?}", seed.wrapping_sub(first), clock.uptime());
}
