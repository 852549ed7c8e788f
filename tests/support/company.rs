//! A company of three sites on `*.localhost`, ready to be visited: as processes of the real program, or inside the test
//! where a test needs to move the clock or look inside.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::web::ServiceConfig;
use throughline::app::launch::{Launch, static_pages};
use throughline::app::node::Node;
use throughline::base::clock::ManualClock;
use throughline::base::origin::Origin;
use throughline::base::secret::{MacKey, Purpose};
use throughline::config::Config;
use throughline::http::event::Log;
use tokio::sync::oneshot;

use super::application;
use super::files::{Folder, Part, SITES, Setup};
use super::process::{Process, free_port, is_healthy, knows, says, sees_broker, sees_broker_beside, wait_until};

/// The company.
pub(crate) struct Company {
    /// Its files.
    pub(crate) folder: Folder,
    /// The primary's origin.
    pub(crate) brand: String,
    /// A secondary's origin.
    pub(crate) shop: String,
    /// Another secondary's origin.
    pub(crate) learn: String,
    /// The processes: one, or first the broker's and then the satellites'. None when it is served inside the test.
    pub(crate) processes: Vec<Process>,
    node: Option<Arc<Node>>,
    /// Dropped together with the company: then the watch inside the test ends.
    keep: Option<oneshot::Sender<()>>,
}

impl Company {
    /// One process of the real program.
    pub(crate) fn start(setup: Setup) -> Self {
        Self::processes(setup, &[Part::All])
    }

    /// Two processes of the real program: the broker's, and the satellites' on another port.
    pub(crate) fn start_split(setup: Setup) -> Self {
        Self::processes(setup, &[Part::Broker, Part::Satellites])
    }

    /// The satellites' process alone: on the broker's port there is nobody, until the test puts somebody there.
    pub(crate) fn start_without_broker(setup: Setup) -> Self {
        let mut company = Self::planned(setup, true);
        company.processes.push(company.process(Part::Satellites));
        let port = company.port();
        let is_up = || super::wire::connect(port).is_ok();
        wait_until("the satellites listen", || company.processes[0].has_ended(), is_up)
            .unwrap_or_else(|problem| panic!("{problem}"));
        company
    }

    /// A company of which nothing runs yet, on two ports: for a test that starts its processes itself.
    pub(crate) fn unstarted(setup: Setup) -> Self {
        Self::planned(setup, true)
    }

    /// Starts the broker's process and no other, for the first time or again, and waits until it answers.
    pub(crate) fn start_broker_alone(&mut self) {
        self.processes = vec![self.process(Part::Broker)];
        let port = self.broker_port();
        let is_well = || is_healthy(port, "brand.localhost", true);
        wait_until("the primary is well", || self.processes[0].has_ended(), is_well)
            .unwrap_or_else(|problem| panic!("{problem}: {}", self.stderr()));
    }

    /// Starts the broker of a company in two processes, for the first time or again.
    pub(crate) fn start_broker(&mut self) {
        self.processes.retain_mut(|process| !process.has_ended());
        self.processes.push(self.process(Part::Broker));
        self.wait_until_ready().unwrap_or_else(|problem| panic!("{problem}"));
    }

    fn processes(setup: Setup, parts: &[Part]) -> Self {
        let mut company = Self::planned(setup, parts.len() > 1);
        // Another program may take the port in between; then try again with another.
        for attempt in 1.. {
            company.processes = parts.iter().map(|part| company.process(*part)).collect();
            let Err(problem) = company.wait_until_ready() else { break };
            let said: Vec<_> = company.processes.iter().map(Process::stderr).collect();
            assert!(attempt < 3 && said.concat().contains("cannot listen"), "{problem}: {said:#?}");
            company.choose_ports(parts.len() > 1);
        }
        company
    }

    /// Served inside the test, with static pages.
    pub(crate) fn inside(setup: Setup) -> Self {
        Self::inside_with(setup, |_| (), static_pages)
    }

    /// Served inside the test, in front of an application that answers with what it was told.
    pub(crate) fn echoing(setup: Setup) -> Self {
        Self::echoing_with(setup, |_| ())
    }

    /// The same, by a clock that the test moves.
    pub(crate) fn echoing_at(setup: Setup, clock: &Arc<ManualClock>) -> Self {
        let clock = Arc::clone(clock);
        Self::echoing_with(setup, |node| node.env.clock = clock)
    }

    /// The same, with parts that the test has replaced.
    pub(crate) fn echoing_with(setup: Setup, adjust: impl FnOnce(&mut Node)) -> Self {
        Self::inside_with(setup, adjust, |_, _, app| application::echo(app))
    }

    /// `adjust` replaces parts of the node before it serves; `pages` is the application behind the middleware.
    fn inside_with(
        setup: Setup,
        adjust: impl FnOnce(&mut Node),
        pages: impl Fn(&Arc<Node>, &[(String, PathBuf)], &mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let mut company = Self::planned(setup, false);
        let config = Config::load(&company.configuration(Part::All), &|_| None).unwrap_or_else(|report| panic!("{report}"));
        let mut launch = Launch::new(config, Arc::new(Log)).unwrap_or_else(|failure| panic!("{failure}"));
        adjust(Arc::get_mut(&mut launch.node).expect("nobody else has the node yet"));
        let (node, files) = (Arc::clone(&launch.node), launch.files.clone());
        company.node = Some(Arc::clone(&node));
        let (keep, dropped) = oneshot::channel::<()>();
        company.keep = Some(keep);
        std::thread::spawn(move || {
            let pages = move |app: &mut ServiceConfig| pages(&node, &files, app);
            actix_web::rt::System::new().block_on(async {
                tokio::select! {
                    outcome = launch.run(pages, |_| ()) => outcome.unwrap_or_else(|failure| panic!("{failure}")),
                    _ = dropped => {}
                }
            });
        });
        company.wait_until_ready().unwrap_or_else(|problem| panic!("{problem}"));
        company
    }

    fn planned(setup: Setup, split: bool) -> Self {
        let folder = Folder::new(setup);
        let mut company = Self {
            folder,
            brand: String::new(),
            shop: String::new(),
            learn: String::new(),
            processes: Vec::new(),
            node: None,
            keep: None,
        };
        company.choose_ports(split);
        company
    }

    fn choose_ports(&mut self, split: bool) {
        let port = free_port();
        let broker_port = if split { free_port() } else { port };
        let [brand, shop, learn] =
            SITES.map(|site| format!("http://{site}.localhost:{}", if site == "brand" { broker_port } else { port }));
        (self.brand, self.shop, self.learn) = (brand, shop, learn);
    }

    fn process(&self, part: Part) -> Process {
        Process::serve_with(&self.configuration(part), self.folder.env())
    }

    fn configuration(&self, part: Part) -> PathBuf {
        let port = if part == Part::Broker { self.broker_port() } else { self.port() };
        self.folder.configure(part, port, &[self.brand.clone(), self.shop.clone(), self.learn.clone()])
    }

    /// Waits until every site can do all that it is there for.
    ///
    /// # Errors
    /// When it takes too long, or a process ends.
    pub(crate) fn wait_until_ready(&mut self) -> Result<(), String> {
        let (port, broker_port) = (self.port(), self.broker_port());
        let (shop, learn) = (self.folder.pages_of_shop(&self.shop), self.learn.clone());
        let sees = if port == broker_port { sees_broker_beside } else { sees_broker };
        let mut is_over = || self.processes.iter_mut().any(Process::has_ended);
        wait_until("the primary is well", &mut is_over, || is_healthy(broker_port, "brand.localhost", true))?;
        wait_until("the secondaries see the broker", &mut is_over, || says(port, "shop.localhost", sees))?;
        wait_until("the sites know each other", &mut is_over, || {
            knows(port, "shop.localhost", &learn) && knows(broker_port, "brand.localhost", &shop)
        })
    }

    /// The secondaries' port.
    pub(crate) fn port(&self) -> u16 {
        super::address::port(&self.shop)
    }

    /// The primary's port.
    pub(crate) fn broker_port(&self) -> u16 {
        super::address::port(&self.brand)
    }

    /// The origin of one of the three sites, by its short name.
    pub(crate) fn origin(&self, site: &str) -> Origin {
        let text =
            [&self.brand, &self.shop, &self.learn][SITES.iter().position(|name| *name == site).expect("one of the three sites")];
        Origin::parse(text).expect("an origin")
    }

    /// The key that a site signs its hop requests with.
    pub(crate) fn hop_key(&self, site: &str) -> MacKey {
        self.folder.secret(site).derive(Purpose::HopRequest)
    }

    /// The node, when the company is served inside the test.
    pub(crate) fn node(&self) -> &Arc<Node> {
        self.node.as_ref().expect("served inside the test")
    }

    /// All that the processes have said so far.
    pub(crate) fn stderr(&self) -> String {
        self.processes.iter().map(Process::stderr).collect()
    }
}
