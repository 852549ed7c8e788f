//! The names, limits and time spans that the outside sees, each in this one place. `docs/protocol.md` explains them.

use std::time::Duration;

/// The one query parameter that is ours: the token on its way back, or on a link.
pub const PARAMETER: &str = "_tl";

/// In place of a token: the page itself is the answer, so that no redirect follows (rule S18).
pub const STOP: &str = "stop";

/// Everything of ours on a site's own origin is below this.
pub const PREFIX: &str = "/_throughline/";

/// The paths that others build on.
pub mod path {
    /// Broker: metadata.
    pub const METADATA: &str = "/.well-known/throughline";
    /// Broker: the hop.
    pub const HOP: &str = "/_throughline/hop";
    /// Broker: the CORS route.
    pub const WHOAMI: &str = "/_throughline/whoami";
    /// Both: public keys.
    pub const JWKS: &str = "/_throughline/jwks.json";
    /// Both: what the page's own script may know.
    pub const ME: &str = "/_throughline/me";
    /// Both: liveness and readiness.
    pub const HEALTH: &str = "/_throughline/health";
    /// Broker: the server-to-server API is below this.
    pub const API: &str = "/_throughline/api/";
    /// Broker: one visitor's record, with the ID behind it, and `/properties` behind that.
    pub const API_VISITORS: &str = "/_throughline/api/visitors/";
    /// Broker: what satellites saw.
    pub const API_REPORTS: &str = "/_throughline/api/reports";
    /// Broker: IDs that count no more.
    pub const API_REVOCATIONS: &str = "/_throughline/api/revocations";
    /// Broker: the API's own description.
    pub const API_DOCUMENT: &str = "/_throughline/api/openapi.json";
    /// Satellite: a link to another of the company's sites.
    pub const GO: &str = "/_throughline/go";
    /// Satellite of a site without a server of its own: begins a hop for the page's script.
    pub const START: &str = "/_throughline/start";
    /// Satellite: a token in exchange for the local cookie, by script.
    pub const EXCHANGE: &str = "/_throughline/exchange";
    /// Both: the visitor's choice.
    pub const CONSENT: &str = "/_throughline/consent";
    /// Both: forget the visitor.
    pub const FORGET: &str = "/_throughline/forget";
    /// Both: the browser SDK.
    pub const SDK: &str = "/_throughline/sdk.js";
    /// Satellite of a site without a server of its own: the script that does what the middleware does elsewhere.
    pub const HOP_SCRIPT: &str = "/_throughline/hop.js";
    /// What proxies ask is below this; nobody else gets an answer there (rule F1).
    pub const AUTH: &str = "/_throughline/auth/";
    /// Below [`AUTH`]: nginx's `auth_request`.
    pub const AUTH_NGINX: &str = "nginx";
    /// Below [`AUTH`]: Caddy's `forward_auth` and Traefik's ForwardAuth.
    pub const AUTH_FORWARD: &str = "forward";
    /// Below [`AUTH`]: Envoy's `ext_authz`, which puts the page's own path and query behind it.
    pub const AUTH_ENVOY: &str = "envoy";
}

/// The cookies: one for the ID and one for a hop. The `__Host-` prefix (RFC 6265bis section 4.1.3.2) pins each to its own host; the localhost profile
/// goes without it, because WebKit drops such cookies on plain http.
pub mod cookie {
    /// The ID cookie: the master cookie on the primary, the local cookie on a secondary.
    pub const ID: &str = "__Host-throughline";
    /// Binds a hop to the browser that began it.
    pub const HOP: &str = "__Host-throughline-hop";
    /// In place of [`ID`], where the satellite is on a sub-domain: the whole site sends it, and `__Host-` forbids that. With
    /// this prefix, it still cannot be set from plain http.
    pub const SITE_ID: &str = "__Secure-throughline";
    /// [`ID`] in the localhost profile.
    pub const ID_LOCALHOST: &str = "throughline";
    /// [`SITE_ID`] in the localhost profile.
    pub const SITE_ID_LOCALHOST: &str = "throughline-site";
    /// [`HOP`] in the localhost profile.
    pub const HOP_LOCALHOST: &str = "throughline-hop";
}

/// What the application is told, and what no client may tell it (rule F2).
pub mod header {
    /// Every header of ours begins so; copies from outside are stripped.
    pub const PREFIX: &str = "x-throughline-";
    /// From us to a proxy, from there to the application: the visitor ID, empty when there is none.
    pub const VISITOR: &str = "x-throughline-visitor";
    /// The same for where the ID came from.
    pub const SOURCE: &str = "x-throughline-source";
    /// From us to nginx: with which status it is to answer in place of the page.
    pub const STATUS: &str = "x-throughline-status";
    /// From us to nginx: where it is to send the visitor.
    pub const GO_TO: &str = "x-throughline-location";
    /// From us to nginx: the cookies of its answer, one a header, since it reads only the first of several with one name.
    pub const COOKIES: [&str; 2] = ["x-throughline-cookie-1", "x-throughline-cookie-2"];
}

/// A signed hop request is good for this long.
pub const HOP_REQUEST_LIFE: Duration = Duration::from_secs(60);

/// The hop cookie lives this long: as long as a hop request and the token that answers it can.
pub const HOP_COOKIE_LIFE: Duration = Duration::from_secs(120);

/// After a hop that brought no ID, the browser is not sent on another for this long (rule S12).
pub const HOP_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// A refusal of consent is remembered this long: as long as the longest cookie that browsers keep.
pub const REFUSAL_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A client that came back from a hop without cookies is remembered this long (rule S16).
pub const BARE_CLIENT_SPAN: Duration = Duration::from_secs(600);

/// The longest page URL that may go on a hop: with the longest token it stays under 8 KB (rule S14).
pub const PAGE_URL_LENGTH_MAX: usize = 8192 - 2048 - 128;

/// The longest that a page URL may be once it is percent-encoded in the hop's own query. With it, the whole head of each
/// redirect stays under 4 KB, which is what nginx's default buffer takes from a server behind it: a larger head would be a
/// 502 in place of the page (the first law). This is stricter than rule S14's 8 KB.
pub const RETURN_LENGTH_MAX: usize = 2560;

/// How long a browser remembers which requests a satellite on a sub-domain takes from the site's pages.
pub const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The longest body that most endpoints of ours read, in octets.
pub const BODY_LENGTH_MAX: usize = 4096;

/// How much of a visitor's choice is read, in octets. A form may name a long page to go back to, which must not lose a refusal.
pub const CHOICE_LENGTH_MAX: usize = 65_536;

/// The longest body that the server-to-server API reads, in octets.
pub const API_BODY_LENGTH_MAX: usize = 1024 * 1024;

/// The default life of an ID cookie: 13 months, counted from its creation (rule B8).
pub const COOKIE_DAYS_DEFAULT: u64 = 395;

/// The longest life that browsers give a cookie.
pub const COOKIE_DAYS_MAX: u64 = 400;

/// The longest key of a super property, in octets. 128 is more than any library's own keys need.
pub const PROPERTY_KEY_LENGTH_MAX: usize = 128;

/// The longest value of a super property, in octets of JSON without white space. A property is a word or a number about the
/// visitor, not a document: it travels with every event of every library.
pub const PROPERTY_VALUE_LENGTH_MAX: usize = 1024;

/// How deep the value of a super property may be nested: a scalar is 1, a list of scalars 2.
pub const PROPERTY_DEPTH_MAX: usize = 4;

/// The most super properties that one visitor may have.
pub const PROPERTIES_MAX: usize = 100;

/// The most that all super properties of one visitor may take, in octets of JSON without white space.
pub const PROPERTIES_LENGTH_MAX: usize = 16_384;

/// The longest change of super properties that is read, in octets: all of them at once, with room to spare.
pub const PROPERTY_CHANGE_LENGTH_MAX: usize = 2 * PROPERTIES_LENGTH_MAX;

/// The longest referrer that is kept of a first visit, in octets. A longer one is thrown away, not cut: half an address
/// leads elsewhere.
pub const REFERRER_LENGTH_MAX: usize = 2048;

/// The longest path that is kept of the page of a first visit, in octets.
pub const LANDING_PATH_LENGTH_MAX: usize = 512;

/// The longest segment that is kept of that path, in octets: what is longer is rather a token than a name.
pub const LANDING_SEGMENT_LENGTH_MAX: usize = 64;

/// The longest value that is kept of a campaign parameter, in octets.
pub const CAMPAIGN_VALUE_LENGTH_MAX: usize = 256;
