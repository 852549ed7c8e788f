//! The names, limits and time spans that the outside sees, each in this one place. `docs/protocol.md` explains them.

use std::time::Duration;

/// The one query parameter that is ours: the token on its way back, or on a link.
pub const PARAMETER: &str = "_tl";

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
    /// Satellite: a link to another of the company's sites.
    pub const GO: &str = "/_throughline/go";
    /// Satellite: a token in exchange for the local cookie, by script.
    pub const EXCHANGE: &str = "/_throughline/exchange";
    /// Both: the visitor's choice.
    pub const CONSENT: &str = "/_throughline/consent";
    /// Both: forget the visitor.
    pub const FORGET: &str = "/_throughline/forget";
}

/// The two cookies. The `__Host-` prefix (RFC 6265bis section 4.1.3.2) pins each to its own host; the localhost profile
/// goes without it, because WebKit drops such cookies on plain http.
pub mod cookie {
    /// The ID cookie: the master cookie on the primary, the local cookie on a secondary.
    pub const ID: &str = "__Host-throughline";
    /// Binds a hop to the browser that began it.
    pub const HOP: &str = "__Host-throughline-hop";
    /// [`ID`] in the localhost profile.
    pub const ID_LOCALHOST: &str = "throughline";
    /// [`HOP`] in the localhost profile.
    pub const HOP_LOCALHOST: &str = "throughline-hop";
}

/// What the application is told, and what no client may tell it (rule F2).
pub mod header {
    /// Every header of ours begins so; copies from outside are stripped.
    pub const PREFIX: &str = "x-throughline-";
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

/// The longest body that any endpoint of ours reads, in octets.
pub const BODY_LENGTH_MAX: usize = 4096;

/// The default life of an ID cookie: 13 months, counted from its creation (rule B8).
pub const COOKIE_DAYS_DEFAULT: u64 = 395;

/// The longest life that browsers give a cookie.
pub const COOKIE_DAYS_MAX: u64 = 400;
