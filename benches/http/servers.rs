//! What the child processes run: our server, the limit that it is measured against, or our server with a full memory.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use throughline::base::clock::{Clock as _, SystemClock};
use throughline::cli::logging::Logging;
use throughline::config::{Admin, StoreConfig};
use throughline::store::recent_set::Claim;
use throughline::store::replay::Replay;

use crate::company::{Company, LOG, REPLAY_ENTRIES};

const HTML: &str = "<!doctype html><title>A page</title><p>Hello.";

async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(HTML)
}

/// Our server, with a small page behind the middleware.
pub(crate) fn ours(port: u16) {
    let launch = Company::on(port).launch(StoreConfig::memory());
    serve(launch.run(
        |app| {
            app.default_service(web::to(page));
        },
        |_| (),
    ));
}

/// Our server as `serve` runs it: with a listener for operators, and a line of JSON for each hop.
pub(crate) fn watched(port: u16, admin: u16) {
    let logging = Logging::to_stderr(LOG);
    let admin =
        Admin { address: ([127, 0, 0, 1], admin).into(), hosts: Vec::new(), sample: 0, sample_every: Duration::from_secs(300) };
    let launch = Company::on(port).launch_watched(StoreConfig::memory(), Some(admin)).counting_lost_lines(logging.lost());
    serve(launch.run(
        |app| {
            app.default_service(web::to(page));
        },
        |_| (),
    ));
}

/// Our server, its replay memory filled first.
pub(crate) fn filled(port: u16) {
    let launch = Company::on(port).launch(StoreConfig::memory());
    let Replay::Here(replay) = &launch.node.satellite.replay else { unreachable!("no other is configured") };
    let uptime = SystemClock::new().uptime();
    // Keys are digests, so any mixed bits do; a few more than fit, since they spread unevenly.
    let keys = (1..).map(|number: u128| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    let claimed =
        keys.take(2 * REPLAY_ENTRIES).filter(|key| replay.claim(*key, uptime) == Claim::First).take(REPLAY_ENTRIES).count();
    assert_eq!(claimed, REPLAY_ENTRIES);
    serve(launch.run(
        |app| {
            app.default_service(web::to(page));
        },
        |_| (),
    ));
}

/// The cryptography that an answer cannot do without.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    None,
    Sign,
    Verify,
}

impl Work {
    /// By its name, as an argument.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "sign" => Self::Sign,
            "verify" => Self::Verify,
            _ => Self::None,
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sign => "sign",
            Self::Verify => "verify",
        }
    }
}

/// The limit: a bare actix-web handler that gives the very answer which ours gave, after the unavoidable `work` on a
/// message as long as the token.
pub(crate) fn limit(port: u16, work: Work, message_length: usize, answer: &str) {
    let shape = Shape::of(answer);
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("a key");
    let message = vec![b'x'; message_length];
    let signature = pair.sign(&message);
    let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()).expect("a key");
    let ready = web::Data::new((shape, pair, message, signature, public));
    let server = HttpServer::new(move || {
        App::new().app_data(ready.clone()).default_service(web::to(
            move |ready: web::Data<(Shape, Ed25519KeyPair, Vec<u8>, _, ParsedPublicKey)>| {
                let (shape, pair, message, signature, public) = &**ready;
                let signature: &aws_lc_rs::signature::Signature = signature;
                match work {
                    Work::None => {}
                    Work::Sign => drop(std::hint::black_box(pair.sign(message))),
                    Work::Verify => public.verify_sig(message, signature.as_ref()).expect("a good signature"),
                }
                std::future::ready(shape.answer())
            },
        ))
    });
    serve(async { server.workers(1).bind(("127.0.0.1", port)).expect("a free port").run().await });
}

fn serve<E: std::fmt::Debug>(serving: impl Future<Output = Result<(), E>>) {
    actix_web::rt::System::new().block_on(serving).expect("a server");
}

/// An answer, as it is sent again and again.
struct Shape {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

impl Shape {
    fn of(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok()).expect("a status");
        let pairs =
            lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| !matches!(*name, "date" | "content-length"));
        let headers = pairs.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
        Self { status, headers, body: body.to_owned() }
    }

    fn answer(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            answer.append_header((name.clone(), value.clone()));
        }
        if self.body.is_empty() { answer.finish() } else { answer.body(self.body.clone()) }
    }
}
