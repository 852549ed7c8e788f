//! The demo's pages.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use crate::app::node::Node;
use crate::base::origin::{Origin, OriginMistake};
use crate::domain::consent::ConsentPolicy;
use crate::domain::contract::path;
use crate::http::visitor::Visitor;

use super::collector::{COLLECT, Collector, RECEIVED, Run};
use super::scripts::{self, SNIPPET};
use super::trail::{Footprint, Trail};

/// The hosts of the demo.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    pub(super) brand: Origin,
    pub(super) shop: Origin,
    pub(super) learn: Origin,
    pub(super) news: Origin,
}

impl Cast {
    pub(super) fn new(port: u16, broker_port: u16) -> Result<Self, OriginMistake> {
        let origin = |name: &str, port: u16| Origin::parse(&format!("http://{name}.localhost:{port}"));
        Ok(Self {
            brand: origin("brand", broker_port)?,
            shop: origin("shop", port)?,
            learn: origin("learn", port)?,
            news: origin("news", port)?,
        })
    }

    /// The hosts to open, and what each is.
    pub(super) fn hosts(&self) -> [Host<'_>; 4] {
        let host = |origin, what| Host { origin, what };
        [
            host(&self.news, "an outside site that links to the company's: begin here"),
            host(&self.shop, "a secondary"),
            host(&self.learn, "another secondary"),
            host(&self.brand, "the primary, with the broker"),
        ]
    }

    /// The page of `name` that links lead to, from `from`; as a control, if that page is one.
    fn target(&self, name: &str, from: &str, run: Run) -> String {
        let control = match run {
            Run::With => "",
            Run::Without => "&control",
        };
        match name {
            "shop" => format!("{}/products?x=1&y=a%20b{control}#reviews", self.shop),
            "learn" => format!("{}/lessons?from={from}{control}#intro", self.learn),
            _ => format!("{}/story?from={from}{control}#top", self.brand),
        }
    }
}

/// A host of the demo.
pub(super) struct Host<'a> {
    pub(super) origin: &'a Origin,
    pub(super) what: &'static str,
}

/// What `localhost` itself shows.
#[derive(Template)]
#[template(path = "demo/hosts.html")]
struct FrontDoor<'a> {
    hosts: [Host<'a>; 4],
}

/// The names of this machine itself, which people try first.
const THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What the pages are made of.
pub(super) struct Stage {
    pub(super) cast: Cast,
    pub(super) trail: Arc<Trail>,
    pub(super) collector: Collector,
    pub(super) node: Arc<Node>,
    pub(super) consent: ConsentPolicy,
}

impl Stage {
    /// Which of the company's sites a request is for.
    pub(super) fn site_name(&self, request: &HttpRequest) -> Option<String> {
        let served = self.node.site(request.head())?;
        Some(short_name(&served.site.origin).to_owned())
    }
}

fn short_name(origin: &Origin) -> &str {
    origin.host().trim_end_matches(".localhost")
}

struct Link {
    id: &'static str,
    host: &'static str,
    plain: String,
    go: String,
}

#[derive(Template)]
#[template(path = "demo/news.html")]
struct News {
    links: Vec<Link>,
}

#[derive(Template)]
#[template(path = "demo/company.html")]
struct Company<'a> {
    name: &'a str,
    host: &'a str,
    role: &'static str,
    path: &'a str,
    visitor: String,
    source: &'static str,
    consent: &'static str,
    policy: &'static str,
    referrer: &'a str,
    way: Vec<Footprint>,
    total: String,
    links: Vec<Link>,
    news: &'a str,
    run: Run,
    may_run: bool,
    snippet: &'static str,
    me_path: &'static str,
    consent_path: &'static str,
    forget_path: &'static str,
    analytics_script: &'static str,
    page_script: &'static str,
    libraries: &'static str,
    collect: &'static str,
    received: &'static str,
}

const ALL: [&str; 3] = ["shop", "learn", "brand"];

fn links(cast: &Cast, from: &str, run: Run) -> Vec<Link> {
    let others = ALL.into_iter().filter(|name| *name != from);
    others
        .map(|name| {
            let plain = cast.target(name, from, run);
            let encoded: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
            Link {
                id: name,
                host: match name {
                    "shop" => "shop.localhost",
                    "learn" => "learn.localhost",
                    _ => "brand.localhost",
                },
                go: format!("{}?to={encoded}", path::GO),
                plain,
            }
        })
        .collect()
}

/// Serves every page of the demo: by its host, one of the company's or the outside site's.
pub(super) async fn page(request: HttpRequest, visitor: Visitor, stage: web::Data<Stage>) -> HttpResponse {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host == stage.cast.news.authority() {
        return html(&News { links: links(&stage.cast, "news", Run::With) }, None);
    }
    let Some(served) = stage.node.site(request.head()) else { return no_site(&request, host, &stage.cast) };
    if served.site.skip.matches(request.path()) {
        return HttpResponse::NotFound().body("There is no such page in the demo.");
    }
    let origin = &served.site.origin;
    let name = short_name(origin);
    let run = if request.query_string().split('&').any(|one| one == "control") { Run::Without } else { Run::With };
    let way = stage.trail.way();
    let referrer = request.headers().get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let page = Company {
        name,
        host: origin.host(),
        role: if name == "brand" {
            "the primary: its cookie is the master cookie"
        } else {
            "a secondary: its cookie came by a hop or a link"
        },
        path: request.uri().path_and_query().map_or("/", |both| both.as_str()),
        visitor: visitor.id().map_or_else(|| "none".into(), |id| id.to_string()),
        source: visitor.source().map_or("none", crate::domain::site_cookie::Source::as_str),
        consent: visitor.consent(),
        policy: stage.consent.as_str(),
        referrer,
        total: way.last().map(|step| step.after.clone()).unwrap_or_default(),
        way,
        links: links(&stage.cast, name, run),
        news: stage.cast.news.as_str(),
        run,
        // The SDK asks for itself. Libraries alone know nothing of consent, so their page must.
        may_run: run == Run::With || visitor.consent() == "granted",
        snippet: SNIPPET,
        me_path: path::ME,
        consent_path: path::CONSENT,
        forget_path: path::FORGET,
        analytics_script: scripts::ANALYTICS,
        page_script: scripts::PAGE,
        libraries: scripts::LIBRARIES,
        collect: COLLECT,
        received: RECEIVED,
    };
    html(&page, Some(scripts::policy(&stage.cast.brand)))
}

/// A host that is none of the sites. `localhost` leads on to them.
fn no_site(request: &HttpRequest, host: &str, cast: &Cast) -> HttpResponse {
    let name = host.strip_suffix(&format!(":{}", cast.news.port())).unwrap_or(host);
    if request.path() == "/" && THIS_MACHINE.contains(&name) {
        return html(&FrontDoor { hosts: cast.hosts() }, None);
    }
    HttpResponse::MisdirectedRequest().body(format!("This host is not part of the demo. Begin at {}/", cast.news))
}

fn html(page: &impl Template, policy: Option<String>) -> HttpResponse {
    match page.render() {
        Ok(text) => {
            let mut answer = HttpResponse::Ok();
            answer.insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"));
            if let Some(policy) = policy {
                answer.insert_header((header::CONTENT_SECURITY_POLICY, policy));
            }
            answer.body(text)
        }
        Err(error) => {
            tracing::error!(%error, "a page of the demo cannot be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\"'><script>alert(1)</script>{{7*7}}&";

    fn assert_is_escaped(page: &impl Template) {
        let text = page.render().unwrap();
        assert!(!text.contains("<script>alert"), "{text}");
        assert!(text.contains("alert(1)") && !text.contains("49"), "{text}");
        // An attribute would end at a bare quote.
        assert!(!text.contains("\"'>") && !text.contains("\"&#39;>"), "{text}");
    }

    fn hostile_links() -> Vec<Link> {
        vec![Link { id: "shop", host: "shop.localhost", plain: HOSTILE.into(), go: HOSTILE.into() }]
    }

    #[test]
    fn a7_the_demos_pages_escape_what_clients_say() {
        assert_is_escaped(&News { links: hostile_links() });
        assert_is_escaped(&Company {
            name: HOSTILE,
            host: HOSTILE,
            role: HOSTILE,
            path: HOSTILE,
            visitor: HOSTILE.into(),
            source: HOSTILE,
            consent: HOSTILE,
            policy: HOSTILE,
            referrer: HOSTILE,
            way: vec![Footprint { after: HOSTILE.into(), host: HOSTILE.into(), what: HOSTILE, code: HOSTILE }],
            total: HOSTILE.into(),
            links: hostile_links(),
            news: HOSTILE,
            run: Run::With,
            may_run: true,
            snippet: "",
            me_path: HOSTILE,
            consent_path: HOSTILE,
            forget_path: HOSTILE,
            analytics_script: HOSTILE,
            page_script: HOSTILE,
            libraries: HOSTILE,
            collect: HOSTILE,
            received: HOSTILE,
        });
    }
}
